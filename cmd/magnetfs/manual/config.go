package manual

import (
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"magnetfs/cmd/magnetfs/settings"
)

// configPage is magnetfs-config(5).
func (m *Manual) configPage(p *page) {
	m.head(p, "magnetfs-config", 5, "settings of magnetfs")
	p.section("SYNOPSIS")
	p.words([]string{italic("~/.config/magnetfs/config.toml,")})
	p.words([]string{italic("/etc/magnetfs/config.toml,")})
	p.words([]string{bold("MAGNETFS_*")})
	p.section("DESCRIPTION")
	p.prose(`Every flag of magnetfs-mount(1) is a setting. Its value is, the first of these that there is:

  1. the flag on the command line, or the option for mount.magnetfs(8)
  2. the variable of the environment, if it is not empty
  3. the key in the section of the mount in the configuration file
  4. the key in the file, before any section
  5. the default

The file is what --config names, or MAGNETFS_CONFIG, else the first that exists of $XDG_CONFIG_HOME/magnetfs/config.toml and /etc/magnetfs/config.toml. It is TOML. Keys are the names of the flags. A section [mounts."/path"] holds for the mount on that folder only; ~/ in it is the home folder. All of the file must be right, also what is for other mounts: unknown keys and bad values are errors. Paths are absolute or begin with ~/.

"magnetfs config" shows what a mount would use, and where each value comes from; "magnetfs config DIR" what a mount uses.`)
	p.section("SETTINGS")
	m.keys(func(f *pflag.Flag) {
		_, usage := pflag.UnquoteUsage(f)
		p.item(bold(f.Name), sentence(usage))
		p.printf(".RS\n")
		p.words(strings.Fields(escape("Value: " + unit(f) + ".")))
		p.printf(".br\n")
		if !strings.Contains(f.Usage, "(default") {
			p.words(strings.Fields(escape("Default: " + settings.Literal(settings.DefaultOf(f)) + ".")))
			p.printf(".br\n")
		}
		p.words(strings.Fields(escape("Variable: ") + bold(settings.Variable(f.Name)) + "."))
		p.printf(".RE\n")
	})
	p.section("EXAMPLES")
	p.literal(`ram = "1GiB"
disk = "100GiB"
port = 7001
dht-bootstrap = ["router.example:6881"]
read-timeout = 0

[mounts."~/films"]
state-dir = "~/.local/state/magnetfs-films"
cache-dir = "/srv/cache/films"`)
	p.section("SEE ALSO")
	p.words([]string{bold("magnetfs") + "(1),", bold("magnetfs-config") + "(1),", bold("magnetfs-mount") + "(1),", bold("mount.magnetfs") + "(8)"})
}

// helperPage is mount.magnetfs(8).
func (m *Manual) helperPage(p *page) {
	m.head(p, "mount.magnetfs", 8, "mount torrents by mount(8) and fstab")
	p.section("SYNOPSIS")
	p.words(strings.Fields(bold("mount -t magnetfs none ") + italic("DIR") + ` [\fB\-o\fR ` + italic("OPTIONS") + "]"))
	p.section("DESCRIPTION")
	p.prose(`mount.magnetfs is what mount(8) calls for file systems of the type magnetfs. It mounts on DIR, which is made if it is missing and must be empty, and leaves a process in the background. The source is always none: torrents are added in the mount, see magnetfs(1).

The mount of root keeps its torrents in /var/lib/magnetfs/NAME and what it fetched in /var/cache/magnetfs/NAME, where NAME is DIR as "systemd-escape --path" writes it. If an ordinary user mounts, which the option user in fstab allows, they are in his home.

umount(8) ends the mount.`)
	p.section("OPTIONS")
	p.prose("Options are separated by commas; a value with commas stands in double quotes. Those that are unknown are refused.")
	p.item(bold("ro"), "Torrents can be neither added nor removed nor pinned.")
	p.item(bold("noexec"), "No program of the mount can be run. Set-uid bits and devices never work.")
	p.item(bold("allow_other"), "Let other users in. If an ordinary user mounts it needs a line user_allow_other in /etc/fuse.conf.")
	p.item(bold("uid=")+italic("USER"), "The mount belongs to this user, a name or a number, and a process of his serves it, with his home and his settings. Only root can use it.")
	p.item(italic("SETTING")+", "+italic("SETTING")+"="+italic("VALUE"), "Every setting of magnetfs-config(5) but foreground, with - or _ between its words: ram=1GiB, no_dht, port=7001, config=/etc/films.toml.")
	ignored := slices.Sorted(slices.Values(m.Ignored))
	p.item(bold("x-*")+", "+bold("comment="), "Are for mount(8) and systemd and mean nothing here; so do "+strings.Join(ignored, ", ")+".")
	p.section("EXIT STATUS")
	p.prose("As mount(8) has it: 0; 1 for wrong options, or no right to do it; 8 if it was interrupted; 32 if it failed.")
	p.section("EXAMPLES")
	p.prose("In /etc/fstab, for a media server and for a user:")
	p.literal(`none /srv/films magnetfs allow_other,_netdev,nofail,disk=100GiB 0 0
none /home/ann/t magnetfs uid=ann,noauto,x-systemd.automount 0 0`)
	p.section("SEE ALSO")
	p.words([]string{bold("magnetfs") + "(1),", bold("magnetfs-config") + "(5),", bold("fstab") + "(5),", bold("mount") + "(8)"})
}
