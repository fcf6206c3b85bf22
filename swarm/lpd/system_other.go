//go:build unix && !linux

package lpd

import (
	"context"
	"errors"
	"fmt"
)

func bindToDevice(_ int, device string) error {
	return fmt.Errorf("bind to device %s: %w", device, errors.ErrUnsupported)
}

func watchInterfaces(context.Context, func()) error { return errors.ErrUnsupported }
