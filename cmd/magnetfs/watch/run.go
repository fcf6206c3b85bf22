package watch

import (
	"context"
	"errors"
	"io"
	"time"

	tea "charm.land/bubbletea/v2"
)

// Run shows the mount whose control folder files has until the user quits or ctx
// ends. title is the mount's path. in and out are a terminal.
func Run(ctx context.Context, title string, files Files, in io.Reader, out io.Writer) error {
	if _, err := files.Load(""); err != nil {
		return err // better said before the screen changes
	}
	p := tea.NewProgram(newModel(title, files.Load, time.Now()), tea.WithContext(ctx), tea.WithInput(in), tea.WithOutput(out))
	_, err := p.Run()
	if errors.Is(err, tea.ErrInterrupted) || ctx.Err() != nil {
		return nil
	}
	return err
}
