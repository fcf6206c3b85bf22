package fetch

import "context"

// Reader is one open handle of a file. Its methods are safe for concurrent use;
// reads in parallel, as a kernel's read-ahead makes them, count as one reader.
type Reader struct{}

// Read returns the n bytes from offset off, or up to the end of the file, as
// slices of verified pieces, in order. The slices are shared: nobody may write to
// them, and they stay valid for ever. At or beyond the end it returns nothing and
// no error. It never returns less for any other reason.
//
// It waits until all of it is there. It fails with the context's error,
// ErrTimeout, ErrRemoved, ErrClosed, what Library.FailReads was given, or
// ErrInvalid if off or n is negative.
func (r *Reader) Read(ctx context.Context, off int64, n int) ([][]byte, error) {
	return nil, ErrClosed
}

// Close ends the reader: its blocked reads fail with ErrClosed, its wants and
// pins are dropped. It may be called more than once.
func (r *Reader) Close() {}
