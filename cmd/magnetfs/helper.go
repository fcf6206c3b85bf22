package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/pflag"

	"magnetfs/cmd/magnetfs/settings"
	"magnetfs/fs"
)

// mount(8) and fstab mount us by a program of this name in /sbin, a link to ours:
//
//	mount.magnetfs SOURCE DIR [-sfnv] [-N NAMESPACE] [-t TYPE] [-o OPTIONS]
const helperName = "mount.magnetfs"

// The status that mount(8) expects of its helpers.
const (
	helperOK          = 0
	helperUsage       = 1 // wrong arguments, or no right to do it
	helperInterrupted = 8
	helperFailed      = 32
)

// order is what the command line of a helper asks for.
type order struct {
	target string
	flags  []string // of magnetfs mount
	user   string   // whose mount it is to be: a name or number; empty: ours
	fake   bool     // only look at the arguments
}

// helper does what mount(8) wants, and returns its status.
func helper(args []string) int {
	o, err := parseOrder(args, newMount().Flags())
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", helperName, err)
		return helperUsage
	}
	if o.fake {
		return helperOK
	}
	if o.user != "" {
		err = o.mountAs()
	} else {
		err = o.mount()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", helperName, err)
	}
	return helperStatus(codeOf(err))
}

func helperStatus(code exitCode) int {
	switch code {
	case exitOK:
		return helperOK
	case exitUsage:
		return helperUsage
	case exitInterrupted:
		return helperInterrupted
	}
	return helperFailed
}

// mount mounts in this process, as the command does.
func (o *order) mount() error {
	if os.Geteuid() == 0 {
		if err := systemFolders(o.target); err != nil {
			return err
		}
	}
	if os.Getenv("HOME") == "" { // mount(8) cleans the environment
		if u, err := user.Current(); err == nil {
			os.Setenv("HOME", u.HomeDir)
		}
	}
	os.Args = append([]string{"magnetfs"}, o.command()...)
	return newRoot().Execute()
}

func (o *order) command() []string {
	return append(append([]string{"mount"}, o.flags...), "--", o.target)
}

// systemFolders gives a mount of root the folders of a service, since at boot there
// is no home; each mount has its own.
func systemFolders(target string) error {
	abs, err := filepath.Abs(target)
	if err != nil {
		return err
	}
	name := escapePath(abs)
	for variable, base := range map[string]string{"STATE_DIRECTORY": "/var/lib", "CACHE_DIRECTORY": "/var/cache"} {
		if os.Getenv(variable) == "" {
			if err := os.Setenv(variable, filepath.Join(base, "magnetfs", name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// escapePath makes a path the name of one file, as systemd-escape --path does.
func escapePath(path string) string {
	path = strings.Trim(filepath.Clean(path), "/")
	if path == "" {
		return "-"
	}
	var b strings.Builder
	for i, c := range []byte(path) {
		switch {
		case c == '/':
			b.WriteByte('-')
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == ':', c == '.' && i > 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	return b.String()
}

// mountAs mounts for another user. We are root and make the connection, which needs
// no right of his to the folder; a process of his serves it, with his files.
func (o *order) mountAs() error {
	u, err := lookupUser(o.user)
	if err != nil {
		return withCode(exitUsage, err)
	}
	if uid := strconv.Itoa(os.Geteuid()); uid == u.Uid {
		return o.mount()
	} else if uid != "0" {
		return withCode(exitUsage, fmt.Errorf("uid=%s: only root can mount for somebody else", o.user))
	}
	credential, err := credentialOf(u)
	if err != nil {
		return err
	}
	flags := newMount().Flags()
	if err := flags.Parse(o.flags); err != nil {
		return withCode(exitUsage, err)
	}
	on := func(name string) bool { v, _ := flags.GetBool(name); return v }
	target, device, err := fs.Connect(fs.Config{
		Target: o.target, Create: true,
		AllowOther: on("allow-other"), ReadOnly: on("read-only"), NoExec: on("no-exec"),
	}, int(credential.Uid), int(credential.Gid))
	if err != nil {
		return err
	}
	defer device.Close()
	o.target = target
	self, err := os.Executable()
	if err == nil {
		cmd := exec.Command(self, o.command()...)
		cmd.Dir = "/"
		cmd.Env = userEnvironment(u)
		cmd.ExtraFiles = []*os.File{device} // becomes descriptor 3
		cmd.Env = append(cmd.Env, deviceVariable+"=3")
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
		err = cmd.Run()
	}
	if err == nil {
		return nil
	}
	if gone := fs.Unmount(target, true); gone != nil {
		err = errors.Join(err, gone)
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) { // it has said why
		return withCode(exitCode(exit.ExitCode()), fmt.Errorf("%s is not mounted", target))
	}
	return err
}

func lookupUser(name string) (*user.User, error) {
	if _, err := strconv.ParseUint(name, 10, 32); err == nil {
		u, err := user.LookupId(name)
		if err != nil {
			return nil, fmt.Errorf("uid=%s: there is no such user", name)
		}
		return u, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("uid=%s: there is no such user", name)
	}
	return u, nil
}

func credentialOf(u *user.User) (*syscall.Credential, error) {
	number := func(s string) (n uint32, err error) {
		v, err := strconv.ParseUint(s, 10, 32)
		return uint32(v), err
	}
	uid, err := number(u.Uid)
	if err != nil {
		return nil, err
	}
	gid, err := number(u.Gid)
	if err != nil {
		return nil, err
	}
	c := &syscall.Credential{Uid: uid, Gid: gid}
	groups, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("groups of %s: %w", u.Username, err)
	}
	for _, g := range groups {
		n, err := number(g)
		if err != nil {
			return nil, err
		}
		c.Groups = append(c.Groups, n)
	}
	return c, nil
}

// userEnvironment is ours with his home. What names folders of ours is left out.
func userEnvironment(u *user.User) []string {
	env := []string{"HOME=" + u.HomeDir, "USER=" + u.Username, "LOGNAME=" + u.Username}
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		switch {
		case name == "HOME", name == "USER", name == "LOGNAME", strings.HasPrefix(name, "XDG_"), strings.HasSuffix(name, "_DIRECTORY"):
		default:
			env = append(env, v)
		}
	}
	return env
}

// parseOrder understands the arguments of a mount helper; flags are those of
// magnetfs mount.
func parseOrder(args []string, flags *pflag.FlagSet) (*order, error) {
	o := &order{}
	var options, rest []string
	for i := 0; i < len(args); i++ {
		a := args[i]
		if len(a) < 2 || a[0] != '-' {
			rest = append(rest, a)
			continue
		}
		for j := 1; j < len(a); j++ { // letters together, the last with a value
			switch c := a[j]; c {
			case 's', 'n', 'v': // sloppy, no mtab, verbose: nothing to do
			case 'f':
				o.fake = true
			case 'o', 't', 'N':
				value := a[j+1:]
				j = len(a)
				if value == "" {
					if i++; i == len(args) {
						return nil, fmt.Errorf("-%c wants a value", c)
					}
					value = args[i]
				}
				if c == 'o' {
					options = append(options, splitOptions(value)...)
				}
			default:
				return nil, fmt.Errorf("unknown flag -%c; usage: %s SOURCE DIR [-o OPTIONS]", c, helperName)
			}
		}
	}
	if len(rest) != 2 {
		return nil, fmt.Errorf("usage: %s SOURCE DIR [-o OPTIONS]", helperName)
	}
	if rest[0] != "none" && rest[0] != "magnetfs" {
		return nil, fmt.Errorf("source %q: it has to be none; torrents are added in the mount", rest[0])
	}
	o.target = rest[1]
	for _, option := range options {
		if err := o.option(option, flags); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// splitOptions splits at commas, but not in "…", as mount(8) does.
func splitOptions(s string) (all []string) {
	var b strings.Builder
	quoted := false
	for _, c := range s + "," {
		switch {
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			if b.Len() > 0 {
				all = append(all, b.String())
			}
			b.Reset()
		default:
			b.WriteRune(c)
		}
	}
	if b.Len() > 0 { // a quote is missing; what follows it stays together
		all = append(all, strings.TrimSuffix(b.String(), ","))
	}
	return all
}

// ignoredOptions are for mount(8) and for systemd, or say what is so anyway.
var ignoredOptions = map[string]bool{
	"defaults": true, "rw": true, "auto": true, "noauto": true, "nofail": true, "_netdev": true, "comment": true,
	"user": true, "nouser": true, "users": true, "nousers": true, "owner": true, "group": true,
	"nosuid": true, "nodev": true, "exec": true, "default_permissions": true,
	"async": true, "sync": true, "atime": true, "noatime": true, "diratime": true, "nodiratime": true,
	"relatime": true, "norelatime": true, "strictatime": true, "nostrictatime": true, "lazytime": true, "nolazytime": true,
}

// option understands one mount option. Every setting of magnetfs mount is one, with
// - or _ between its words.
func (o *order) option(option string, flags *pflag.FlagSet) error {
	name, value, valued := strings.Cut(option, "=")
	switch {
	case ignoredOptions[name], strings.HasPrefix(name, "x-"), strings.HasPrefix(name, "X-"):
		return nil
	case name == "ro":
		o.flags = append(o.flags, "--read-only")
		return nil
	case name == "noexec":
		o.flags = append(o.flags, "--no-exec")
		return nil
	case name == "uid":
		if !valued || value == "" {
			return errors.New("uid wants a user: uid=1000, uid=ann")
		}
		o.user = value
		return nil
	case name == "suid", name == "dev":
		return fmt.Errorf("option %q: never here; what is in torrents is from strangers", name)
	case name == "remount":
		return errors.New("it cannot be mounted again with other options: umount it first")
	}
	flag := flags.Lookup(strings.ReplaceAll(name, "_", "-"))
	if flag == nil || flag.Name == "foreground" || flag.Name == "help" {
		return fmt.Errorf("option %q is unknown%s; see mount.magnetfs(8)", name, settings.DidYouMean(name, optionNames(flags)))
	}
	switch boolean := flag.Value.Type() == "bool"; {
	case boolean && valued, !boolean && !valued:
		return fmt.Errorf("option %q %s", name, map[bool]string{true: "has no value", false: "wants a value: " + name + "=…"}[boolean])
	case boolean:
		value = "true"
	}
	if err := flag.Value.Set(value); err != nil {
		return fmt.Errorf("option %q: %w", name, err)
	}
	o.flags = append(o.flags, "--"+flag.Name+"="+value)
	return nil
}

// optionNames are the options that are worth proposing.
func optionNames(flags *pflag.FlagSet) []string {
	names := []string{"ro", "noexec", "uid", "noauto", "nofail", "_netdev", "defaults"}
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Name != "foreground" && f.Name != "help" {
			names = append(names, f.Name, strings.ReplaceAll(f.Name, "-", "_"))
		}
	})
	return names
}

// isHelper tells whether we were called by mount(8).
func isHelper(name string) bool { return filepath.Base(name) == helperName }
