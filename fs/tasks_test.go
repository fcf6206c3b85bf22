package fs_test

// readTask and mapTask are programs that read, see interrupt_test.go.
func readTask([]string) int { return 0 }
func mapTask([]string) int  { return 0 }
