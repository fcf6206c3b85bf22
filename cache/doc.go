// Package cache keeps verified pieces in memory under a hard byte bound.
package cache
