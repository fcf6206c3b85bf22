package fs_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// The mount under test runs in a process of its own, which is this binary started
// again with a task in its environment: a file system that waits for itself would
// hang, and what a signal does to a reader can only be seen from outside.
func TestMain(m *testing.M) {
	if task := os.Getenv(taskEnv); task != "" {
		os.Exit(runTask(task))
	}
	goleak.VerifyTestMain(m)
}

const taskEnv = "MAGNETFS_FS_TASK"

// runTask does what a child process is there for and returns its exit code.
func runTask(task string) int {
	if run := tasks[task]; run != nil {
		return run(os.Args[1:])
	}
	return 99
}

var tasks = map[string]func(args []string) int{
	"serve": serve,
	"read":  readTask,
	"map":   mapTask,
}
