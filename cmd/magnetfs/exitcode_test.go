package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// The page of the documentation has the same codes as the program.
func TestExitCodesAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/control.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range exitText {
		if row := fmt.Sprintf("| %d | %s |", e.code, e.name); !strings.Contains(string(page), row) {
			t.Errorf("docs/control.md lacks the row %s", row)
		}
	}
}
