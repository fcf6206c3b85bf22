package fs

import (
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"sync"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"magnetfs/fetch"
)

// FSType is the type of our mounts in /proc/self/mountinfo.
const FSType = "fuse." + subtype

const subtype = "magnetfs"

const (
	// maxRead bounds one READ, in bytes: 1 MiB is what the kernel allows without
	// a sysctl. Direct reads are never larger than what the program asked, and
	// throughput doubles from 128 KiB to 1 MiB.
	maxRead = 1 << 20

	// maxBackground is how many read-ahead requests may be under way. With the
	// default of 12 a few reads that wait for a dead torrent hold up every other
	// file of the mount (measured: 64 readers, 4 s instead of 0.5 s).
	maxBackground = 1024

	// unmountPatience is how long Unmount waits for programs that still have
	// files open before it detaches the mount from under them.
	unmountPatience = 5 * time.Second
)

// errUnmounting is what blocked reads fail with when the mount goes.
var errUnmounting = fmt.Errorf("unmounting: %w", fetch.ErrClosed)

// Config says what to mount, and where. Library and Target are required.
type Config struct {
	Library *fetch.Library

	// Target is the folder to mount on. It must be empty.
	Target string

	// Create makes the target if it does not exist.
	Create bool

	// PageCache reads every file through the page cache of the kernel, also one
	// that is not here as a whole. The kernel asks for such a file page by page
	// then, which is slow; kernels before 6.6 leave no choice if files are to be
	// mapped.
	PageCache bool

	// NoPassthrough keeps the kernel from reading whole files from the disk by
	// itself: every read reaches us, as it does where that is not permitted.
	NoPassthrough bool

	// AllowOther lets other users in, to look and read. Ordinary users need
	// user_allow_other in /etc/fuse.conf for it.
	AllowOther bool

	// ReadOnly has the kernel refuse every change: no torrent can be added or
	// removed, nothing pinned.
	ReadOnly bool

	// NoExec has the kernel run no program of the mount.
	NoExec bool

	// Device is the descriptor of a connection that Connect has mounted on
	// Target, which is as Connect returned it; 0: Mount mounts one itself.
	Device int

	// Space returns the budget of the cache and what of it is used, in bytes:
	// what df shows. Nil shows nothing.
	Space func() (budget, used int64)

	// Files are further files of the control folder, by name; each call returns
	// a fresh text.
	Files map[string]func() ([]byte, error)

	// Commands are further files of the control folder, to be written to: each
	// is called with every line, without spaces around it.
	Commands map[string]func(line string) error

	// Notice returns lines for the top of the status, empty for none. Nil is none.
	Notice func() string

	Log *slog.Logger // nil: nothing is logged
}

// Server is one mount.
type Server struct {
	m      *mount
	target string        // absolute, without symbolic links
	done   chan struct{} // closed when the kernel has let go of us

	unmountOnce sync.Once
	unmountErr  error
}

// mount is what the nodes of one mount share.
type mount struct {
	lib     *fetch.Library
	log     *slog.Logger
	cfg     Config
	procs   procs
	uid     uint32
	gid     uint32
	started time.Time
	root    *rootNode

	// device is a copy of the descriptor of /dev/fuse, used to see whether the
	// connection is still alive.
	device int
	// direct is set when files that are not complete are read past the page
	// cache: the kernel can do that and still map them.
	direct  bool
	nameMax uint32

	closing   chan struct{} // closed when the unmounting starts
	closeOnce sync.Once
	watchers  sync.WaitGroup
	changes   *changeQueue

	folders   folders
	uploads   uploads
	aliases   aliases
	pageReads pageReads
	through   passthrough
}

// Mount mounts the library's torrents and serves them until Unmount, or until the
// mount is taken away by somebody else. The mount is usable when it returns.
//
// The error wraps ErrUnavailable if the system lacks FUSE and ErrTarget if this
// folder cannot be mounted on; it says what to do.
func Mount(cfg Config) (*Server, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	target, device, err := cfg.connect()
	if err != nil {
		return nil, err
	}
	m := &mount{
		lib:     cfg.Library,
		log:     cfg.Log,
		cfg:     cfg,
		procs:   "/proc",
		uid:     uint32(os.Geteuid()),
		gid:     uint32(os.Getegid()),
		started: time.Now(),
		device:  -1,
		closing: make(chan struct{}),
		changes: newChangeQueue(),
	}
	m.root = &rootNode{node: node{m: m}}

	opts := m.options()
	if m.device, err = unix.FcntlInt(uintptr(device), unix.F_DUPFD_CLOEXEC, 3); err != nil {
		_ = detach(target)
		unix.Close(device)
		return nil, fmt.Errorf("fs: copying the descriptor of /dev/fuse: %w", err)
	}
	// go-fuse takes a descriptor that is mounted already by this name.
	raw := &rawFS{RawFileSystem: fusefs.NewNodeFS(m.root, opts), pageReads: &m.pageReads, through: &m.through}
	server, err := fuse.NewServer(raw, fmt.Sprintf("/dev/fd/%d", device), &opts.MountOptions)
	if err != nil {
		_ = detach(target)
		unix.Close(m.device)
		return nil, fmt.Errorf("fs: talking to the kernel: %w", err)
	}
	m.negotiated(server.KernelSettings())
	if !cfg.PageCache && !cfg.NoPassthrough {
		m.through.kernel = server
	}
	s := &Server{m: m, target: target, done: make(chan struct{})}
	m.lib.OnChange(m.changes.add)
	go s.serve(server)
	return s, nil
}

// options are the mount options. No default timeouts are set: each answer carries
// its own.
func (m *mount) options() *fusefs.Options {
	quiet := log.New(logWriter{m.log}, "", 0)
	return &fusefs.Options{
		NullPermissions: true,
		RootStableAttr:  &fusefs.StableAttr{Ino: fuse.FUSE_ROOT_ID},
		Logger:          quiet,
		MountOptions: fuse.MountOptions{
			AllowOther:        m.cfg.AllowOther,
			MaxBackground:     maxBackground,
			MaxWrite:          maxRead,
			FsName:            source(os.Geteuid()),
			Name:              subtype,
			DisableSplice:     true, // pieces live on the heap: writev, nothing to splice
			ExtraCapabilities: fuse.CAP_DIRECT_IO_ALLOW_MMAP,
			Logger:            quiet,
		},
	}
}

// negotiated keeps what depends on the kernel.
func (m *mount) negotiated(k *fuse.InitIn) {
	m.direct = k.Flags64()&fuse.CAP_DIRECT_IO_ALLOW_MMAP != 0 && !m.cfg.PageCache
	m.nameMax = 1024 // FUSE_NAME_MAX before Linux 6.15
	if k.SupportsVersion(7, 43) && k.Flags64()&fuse.CAP_MAX_PAGES != 0 {
		m.nameMax = pathMax - 1
	}
}

// serve runs until the kernel ends the connection.
func (s *Server) serve(server *fuse.Server) {
	notifier := make(chan struct{})
	go func() {
		defer close(notifier)
		s.m.notifyChanges()
	}()
	server.Serve()
	s.m.close()
	s.m.watchers.Wait()
	s.m.changes.close()
	<-notifier
	unix.Close(s.m.device)
	close(s.done)
}

// close makes everything that waits stop waiting.
func (m *mount) close() {
	m.closeOnce.Do(func() { close(m.closing) })
}

// alive tells whether the kernel still holds the connection.
func (m *mount) alive() bool {
	fds := []unix.PollFd{{Fd: int32(m.device)}}
	_, err := unix.Poll(fds, 0)
	return err != nil || fds[0].Revents&(unix.POLLERR|unix.POLLHUP) == 0
}

// Target is the absolute path that is mounted on.
func (s *Server) Target() string { return s.target }

// Done is closed when the mount is gone and every request is answered.
func (s *Server) Done() <-chan struct{} { return s.done }

// Wait returns when the mount is gone, whoever took it away.
func (s *Server) Wait() { <-s.done }

// Unmount fails every blocked read, then unmounts. Programs that keep files open
// are given 5 s; then the mount is detached from under them: the folder is free,
// and they see errors as soon as the process ends. Calling it again returns the
// first result.
//
// Wait may not return after it: a detached mount, or a copy of it in the mount
// namespace of a container, keeps the connection as long as this process lives if
// there is no right to abort it.
func (s *Server) Unmount() error {
	s.unmountOnce.Do(func() { s.unmountErr = s.unmount() })
	return s.unmountErr
}

func (s *Server) unmount() error {
	m := s.m
	abort := connectionOf(s.target)
	m.close()
	for deadline := time.Now().Add(unmountPatience); ; {
		m.lib.FailReads(errUnmounting)
		err := unmount(s.target)
		if err == nil || s.ended(0) {
			break
		}
		if !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("fs: unmounting %s: %w", s.target, err)
		}
		if time.Now().After(deadline) {
			m.log.Warn("detaching a mount that is in use", "target", s.target)
			if err := detach(s.target); err != nil {
				return fmt.Errorf("fs: detaching %s: %w", s.target, err)
			}
			break
		}
		s.ended(100 * time.Millisecond)
	}
	if s.ended(time.Second) {
		return nil
	}
	err := abort()
	if !s.ended(time.Second) {
		m.log.Info("somebody still holds the mount; it ends with this process", "target", s.target, "abort", err)
	}
	return nil
}

// ended waits for the end of the mount, at most for d.
func (s *Server) ended(d time.Duration) bool {
	select {
	case <-s.done:
		return true
	case <-time.After(d):
		return false
	}
}

// logWriter hands go-fuse's own lines to the log.
type logWriter struct{ log *slog.Logger }

func (w logWriter) Write(p []byte) (int, error) {
	w.log.Debug("go-fuse", "line", string(p))
	return len(p), nil
}
