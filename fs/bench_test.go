package fs_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"
)

// BenchmarkRead reads what is in the cache, past the page cache: kernel, this
// package, fetch and back.
func BenchmarkRead(b *testing.B) {
	m := mountWith(b, serveConfig{Torrents: []string{"bench"}, RAM: 512 << 20})
	fd, err := unix.Open(m.path("bench/bench"), unix.O_RDONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer unix.Close(fd)
	const here = 127 << 20
	read := func(b *testing.B, size int, offset func(i int) int64) {
		buf := make([]byte, size)
		b.SetBytes(int64(size))
		for i := 0; b.Loop(); i++ {
			if n, err := unix.Pread(fd, buf, offset(i)); n != size || err != nil {
				b.Fatal(n, err)
			}
		}
	}
	for _, size := range []int{1 << 20, 128 << 10, 4 << 10} {
		b.Run(fmt.Sprintf("sequential/%dKiB", size>>10), func(b *testing.B) {
			read(b, size, func(i int) int64 { return int64(i) * int64(size) % here })
		})
	}
	b.Run("random/4KiB", func(b *testing.B) {
		rnd := rand.New(rand.NewPCG(1, 2))
		read(b, 4<<10, func(int) int64 { return rnd.Int64N(here - 4096) })
	})
}

// BenchmarkStat looks a file up and asks for its attributes.
func BenchmarkStat(b *testing.B) {
	m := mountWith(b, serveConfig{Torrents: []string{"many"}})
	for i := 0; b.Loop(); i++ {
		var st unix.Stat_t
		name := fmt.Sprintf("many/a file with a rather long name, number %04d.txt", i%2000)
		if err := unix.Stat(m.path(name), &st); err != nil {
			b.Fatal(err)
		}
	}
}
