package fs

import "testing"

func TestPermitsOther(t *testing.T) {
	for _, c := range []struct {
		name, conf string
		want       bool
	}{
		{"empty", "", false},
		{"as Debian has it", "# comment\n\n#user_allow_other\n#mount_max = 1000\n", false},
		{"set", "mount_max = 10\nuser_allow_other\n", true},
		{"last line without its end", "user_allow_other", true},
		{"spaces and a comment", "  user_allow_other   # for the TV\n", true},
		{"a value", "user_allow_other = 1\n", false},
		{"in a comment", "# user_allow_other\n", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := permitsOther(c.conf); got != c.want {
				t.Errorf("%t, want %t", got, c.want)
			}
		})
	}
}

func TestSource(t *testing.T) {
	for uid, want := range map[int]string{0: "magnetfs:root", 1 << 30: "magnetfs:1073741824"} {
		if got := source(uid); got != want {
			t.Errorf("%d: %s, want %s", uid, got, want)
		}
	}
}
