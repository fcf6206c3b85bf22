package main

import (
	"bytes"
	"testing"

	"magnetfs/cmd/magnetfs/doctor"
)

func TestPrintFindings(t *testing.T) {
	found := []doctor.Finding{
		{Check: "a", Status: doctor.OK, Found: "fine"},
		{Check: "long name", Status: doctor.Fail, Found: "bad\nthing", Mend: "do that"},
	}
	var b bytes.Buffer
	if err := printFindings(&b, found, false); err != nil {
		t.Fatal(err)
	}
	const want = "ok    a          fine\nfail  long name  bad thing\n      -> do that\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", &b, want)
	}
	b.Reset()
	if err := printFindings(&b, found[:1], true); err != nil || b.String() != "\x1b[32mok\x1b[0m    a  fine\n" {
		t.Errorf("%v, %q", err, &b)
	}
	if colourful(&b) {
		t.Error("colours for no terminal")
	}
}
