package watch

import (
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"
)

// every is the pause between two looks at the mount.
const every = time.Second

// silence is how long no answer is taken for a hanging mount.
const silence = 5 * time.Second

// load reads the state in the background; selected is the torrent whose pieces are
// wanted.
type load func(selected string) (State, error)

// loaded is the result of a load.
type loaded struct {
	state State
	err   error
	at    time.Time
	took  time.Duration
}

// wake says that the next load is due.
type wake struct{}

// model is all that the screen depends on. It implements tea.Model by value.
type model struct {
	title string
	load  load

	width, height int
	state         State
	err           error     // of the last load
	at            time.Time // of the last state
	now           time.Time

	selected string // info-hash
	top      int    // first torrent shown
	scroll   int    // first line shown of the selected torrent's details
	details  bool   // they have the whole screen
}

func newModel(title string, load load, now time.Time) model {
	return model{title: title, load: load, width: 80, height: 24, at: now, now: now}
}

// Init implements tea.Model.
func (m model) Init() tea.Cmd { return tea.Batch(m.loading(), clock()) }

// clock wakes the screen once a second, so that a hanging mount shows.
func clock() tea.Cmd { return tea.Tick(time.Second, func(t time.Time) tea.Msg { return t }) }

func (m model) loading() tea.Cmd {
	load, selected := m.load, m.selected
	return func() tea.Msg {
		start := time.Now()
		s, err := load(selected)
		return loaded{s, err, time.Now(), time.Since(start)}
	}
}

// Update implements tea.Model.
func (m model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case time.Time:
		m.now = msg
		return m, clock()
	case wake:
		return m, m.loading()
	case loaded:
		m.err, m.now = msg.err, msg.at
		if msg.err == nil {
			m.state, m.at = msg.state, msg.at
		}
		m.settle()
		// A large mount is not asked without a pause.
		return m, tea.Tick(max(every, 4*msg.took), func(time.Time) tea.Msg { return wake{} })
	case tea.KeyPressMsg:
		return m.key(msg.String())
	}
	m.settle()
	return m, nil
}

func (m model) key(key string) (tea.Model, tea.Cmd) {
	before := m.selected
	page := max(1, m.room().details-1)
	switch key {
	case "q", "ctrl+c":
		return m, tea.Quit
	case "esc":
		if !m.details {
			return m, tea.Quit
		}
		m.details = false
	case "enter":
		m.details = !m.details
	case "up", "k":
		m.move(-1)
	case "down", "j":
		m.move(1)
	case "home":
		m.move(-len(m.state.Torrents))
	case "end":
		m.move(len(m.state.Torrents))
	case "pgdown", "space", "f":
		m.scroll += page
	case "pgup", "b":
		m.scroll -= page
	case "right", "l", "ctrl+e":
		m.scroll++
	case "left", "h", "ctrl+y":
		m.scroll--
	case "g":
		m.scroll = 0
	case "G":
		m.scroll = 1 << 30
	case "1", "2", "3", "4":
		m.scroll = m.section(int(key[0] - '1'))
	case "tab":
		m.scroll = m.nextSection()
	}
	m.settle()
	if m.selected != before {
		return m, m.loading() // its pieces
	}
	return m, nil
}

// move selects another torrent.
func (m *model) move(by int) {
	if len(m.state.Torrents) == 0 {
		return
	}
	i := min(max(m.index()+by, 0), len(m.state.Torrents)-1)
	if hash := m.state.Torrents[i].InfoHash; hash != m.selected {
		m.selected, m.scroll = hash, 0
	}
}

// index is the place of the selected torrent in the list.
func (m *model) index() int {
	i := slices.IndexFunc(m.state.Torrents, func(t Torrent) bool { return t.InfoHash == m.selected })
	return max(i, 0)
}

// settle keeps selection and places within what there is.
func (m *model) settle() {
	if len(m.state.Torrents) == 0 {
		m.selected, m.top, m.scroll = "", 0, 0
		return
	}
	i := m.index()
	m.selected = m.state.Torrents[i].InfoHash
	room := m.room()
	m.top = min(m.top, i, max(0, len(m.state.Torrents)-room.torrents))
	if room.torrents > 0 {
		m.top = max(m.top, i-room.torrents+1)
	}
	lines, _ := m.detailLines()
	m.scroll = min(max(m.scroll, 0), max(0, len(lines)-room.details))
}

// room is how many lines the parts of the screen have.
type room struct{ torrents, details int }

// room shares the height: a line each for title, table head, rule and help, to the
// list what it needs up to a third, to the details the rest.
func (m *model) room() room {
	if m.details {
		return room{0, max(0, m.height-3)}
	}
	free := max(0, m.height-4)
	torrents := min(max(1, len(m.state.Torrents)), max(1, free/3))
	if free < 6 {
		torrents = min(torrents, free)
	}
	return room{torrents, max(0, free-torrents)}
}

func (m *model) section(i int) int {
	_, starts := m.detailLines()
	if i < len(starts) {
		return starts[i]
	}
	return m.scroll
}

// nextSection is the first section that begins below the first line shown.
func (m *model) nextSection() int {
	_, starts := m.detailLines()
	for _, s := range starts {
		if s > m.scroll {
			return s
		}
	}
	return 0
}
