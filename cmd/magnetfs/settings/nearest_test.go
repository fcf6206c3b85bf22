package settings

import "testing"

func TestDidYouMean(t *testing.T) {
	known := []string{"ram", "disk", "cache-dir", "no-dht", "no-lpd", "read-timeout"}
	for said, want := range map[string]string{
		"rma":          "ram",
		"cachedir":     "cache-dir",
		"cache_dir":    "cache-dir",
		"no-dth":       "no-dht",
		"read-timeput": "read-timeout",
		"colour":       "",
		"":             "",
		"x":            "",
	} {
		got := DidYouMean(said, known)
		if want == "" && got != "" || want != "" && got != ", did you mean "+want+"?" {
			t.Errorf("%s: %q, want %q", said, got, want)
		}
	}
}
