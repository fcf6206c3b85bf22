package main

import "fmt"

// onOff is a flag that is written as on or off.
type onOff bool

// MarshalText implements encoding.TextMarshaler.
func (o onOff) MarshalText() ([]byte, error) {
	if o {
		return []byte("on"), nil
	}
	return []byte("off"), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (o *onOff) UnmarshalText(b []byte) error {
	switch string(b) {
	case "on":
		*o = true
	case "off":
		*o = false
	default:
		return fmt.Errorf("%q is neither on nor off", b)
	}
	return nil
}
