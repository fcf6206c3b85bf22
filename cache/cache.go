package cache

// Cache keeps verified pieces in memory. All methods are safe for concurrent use.
type Cache struct{}
