package main

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"magnetfs/cache/disk"
	"magnetfs/fetch"
	"magnetfs/fs"
)

// exitCode is the status of the process. Scripts rely on the numbers: they are
// never changed or used for anything else.
type exitCode int

const (
	exitOK          exitCode = 0
	exitFailed      exitCode = 1 // anything without a number of its own
	exitUsage       exitCode = 2 // wrong flags or arguments
	exitUnavailable exitCode = 3 // FUSE is missing or not permitted
	exitTarget      exitCode = 4 // the folder cannot be mounted on
	exitLocked      exitCode = 5 // another magnetfs uses the state or cache folder
	exitPort        exitCode = 6 // the port given with --port cannot be opened
	exitNotMounted  exitCode = 7 // the folder is not a mount of magnetfs
	exitBusy        exitCode = 8 // the mount is in use and could not be detached
	exitInvalid     exitCode = 9 // neither a magnet, an info-hash nor a torrent file
	exitNotFound    exitCode = 10
	exitTimeout     exitCode = 11  // what was waited for did not come in time
	exitNoRoom      exitCode = 12  // what is to be pinned does not fit
	exitInterrupted exitCode = 130 // 128 + SIGINT, as shells have it
)

// exitText names and describes the codes, for --help and the manual.
var exitText = []struct {
	code       exitCode
	name, text string
}{
	{exitOK, "ok", "done"},
	{exitFailed, "failed", "something else failed; of doctor: something has to be mended"},
	{exitUsage, "usage", "wrong flags, arguments or settings"},
	{exitUnavailable, "unavailable", "FUSE is missing or not permitted"},
	{exitTarget, "target", "the folder cannot be mounted on"},
	{exitLocked, "locked", "another magnetfs uses the same state or cache folder"},
	{exitPort, "port", "the port asked for cannot be opened"},
	{exitNotMounted, "not-mounted", "magnetfs is not mounted there"},
	{exitBusy, "busy", "the mount is in use and could not be detached"},
	{exitInvalid, "invalid", "not a magnet link, info-hash or torrent file"},
	{exitNotFound, "not-found", "there is no such torrent or file"},
	{exitTimeout, "timeout", "what was waited for did not come in time"},
	{exitNoRoom, "no-room", "what is to be pinned does not fit"},
	{exitInterrupted, "interrupted", "interrupted"},
}

func exitHelp() string {
	var b strings.Builder
	b.WriteString("Exit status:\n")
	for _, e := range exitText {
		fmt.Fprintf(&b, "  %3d  %-12s %s\n", e.code, e.name, e.text)
	}
	return b.String()
}

// coded is an error with an exit code of its own.
type coded struct {
	error
	code exitCode
}

func (c *coded) Unwrap() error { return c.error }

func withCode(code exitCode, err error) error { return &coded{err, code} }

// codeOf finds the exit code of an error.
func codeOf(err error) exitCode {
	var c *coded
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &c):
		return c.code
	case errors.Is(err, fs.ErrUnavailable):
		return exitUnavailable
	case errors.Is(err, fs.ErrTarget):
		return exitTarget
	case errors.Is(err, fetch.ErrLocked), errors.Is(err, disk.ErrLocked):
		return exitLocked
	case errors.Is(err, fs.ErrNotMounted):
		return exitNotMounted
	case errors.Is(err, fetch.ErrInvalid):
		return exitInvalid
	case errors.Is(err, syscall.EBUSY):
		return exitBusy
	}
	return exitFailed
}
