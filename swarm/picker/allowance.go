package picker

import "math"

// Unlimited is an allowance without a bound.
const Unlimited = math.MaxInt

// allowance bounds what is asked, where a limit of the rate does not let everything
// be asked that peers would send. A block that is not asked for is in nobody's way:
// when there is more allowance, what is most urgent by then is asked, of whoever is
// soonest then.
type allowance struct {
	left  int // bytes that may be asked
	spent int // bytes asked since Spent, less those that will not come
	short bool
}

// Allow says how many bytes the next calls of Pick and Late may ask for in all.
func (p *Picker) Allow(bytes int) { p.left, p.short = bytes, false }

// Short says whether something was not asked for lack of allowance since Allow was
// called.
func (p *Picker) Short() bool { return p.short }

// Spent returns what was asked since the last call, in bytes; what was asked and
// will not come any more counts against it. May be negative.
func (p *Picker) Spent() int {
	n := p.spent
	p.spent = 0
	return n
}

func (a *allowance) allows(size int) bool {
	if size > a.left {
		a.short = true
		return false
	}
	return true
}

func (a *allowance) spend(size int) {
	a.spent += size
	if a.left != Unlimited {
		a.left -= size
	}
}
