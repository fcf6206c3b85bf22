package manual

import (
	"fmt"
	"io"
	"strings"
)

// lineWidth is where lines of the source are broken, in bytes.
const lineWidth = 70

// page writes one manual page.
type page struct {
	w     io.Writer
	err   error // the first of a write
	fresh bool  // a section has just begun
}

func (p *page) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

// section begins a section.
func (p *page) section(title string) {
	p.printf(".SH %s\n", escape(title))
	p.fresh = true
}

// prose writes text of a help message: paragraphs between blank lines, and lines
// that are indented as they are. A line that begins with a dash begins anew.
func (p *page) prose(text string) {
	var words []string
	flush := func() {
		if len(words) > 0 {
			p.words(words)
			words = nil
		}
	}
	lines := strings.Split(strings.Trim(text, "\n"), "\n")
	first := true
	for i := 0; i < len(lines); i++ {
		line := strings.TrimRight(lines[i], " \t")
		switch {
		case line == "":
			flush()
		case strings.HasPrefix(line, "  "), strings.HasPrefix(line, "\t"):
			flush()
			end := i
			for end < len(lines) && (lines[end] == "" || strings.HasPrefix(lines[end], "  ") || strings.HasPrefix(lines[end], "\t")) {
				end++
			}
			p.literal(strings.Join(lines[i:end], "\n"))
			i = end - 1
			first = false
		default:
			if len(words) == 0 && !first {
				p.printf(".PP\n")
			}
			first = false
			for word := range strings.FieldsSeq(line) {
				word = escape(word)
				if strings.ContainsAny(word, "/$") {
					word = `\%` + word // no hyphens in paths
				}
				words = append(words, word)
			}
		}
	}
	flush()
}

// words fills lines with words that are escaped already.
func (p *page) words(words []string) {
	p.fresh = false
	var line strings.Builder
	for _, w := range words {
		if line.Len() > 0 && line.Len()+1+len(w) > lineWidth {
			p.printf("%s\n", guard(line.String()))
			line.Reset()
		}
		if line.Len() > 0 {
			line.WriteByte(' ')
		}
		line.WriteString(w)
	}
	if line.Len() > 0 {
		p.printf("%s\n", guard(line.String()))
	}
}

// literal writes lines as they are, indented; what all of them are indented by is
// taken off.
func (p *page) literal(text string) {
	lines := strings.Split(strings.Trim(strings.ReplaceAll(text, "\t", "    "), "\n"), "\n")
	indent := -1
	for _, l := range lines {
		if n := len(l) - len(strings.TrimLeft(l, " ")); l != "" && (indent < 0 || n < indent) {
			indent = n
		}
	}
	if !p.fresh {
		p.printf(".PP\n")
	}
	p.fresh = false
	p.printf(".RS 4\n.nf\n")
	for _, l := range lines {
		if l == "" {
			p.printf("\\&\n")
			continue
		}
		p.printf("%s\n", fold(guard(escape(strings.TrimRight(l[indent:], " ")))))
	}
	p.printf(".fi\n.RE\n")
}

// fold breaks a long line of the source where roff does not see it, between
// characters that are escaped already.
func fold(s string) string {
	var b strings.Builder
	for len(s) > lineWidth {
		n := lineWidth
		if i := strings.LastIndexByte(s[:n], '\\'); i > n-9 { // not within an escape
			n = i
		}
		b.WriteString(s[:n] + "\\\n")
		s = s[n:]
	}
	return b.String() + s
}

// item is one entry of a list: a term in bold, escaped already, and its text.
func (p *page) item(term, text string) {
	p.printf(".TP\n%s\n", fold(guard(term)))
	p.prose(text)
}

func bold(s string) string   { return `\fB` + escape(s) + `\fR` }
func italic(s string) string { return `\fI` + escape(s) + `\fR` }

// escape guards what roff would take for its own. A minus stays one, to be copied,
// and what is not ASCII is named, so that no locale matters.
func escape(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\\':
			b.WriteString(`\e`)
		case r == '-':
			b.WriteString(`\-`)
		case r == '~':
			b.WriteString(`\(ti`)
		case r == '^':
			b.WriteString(`\(ha`)
		case r == '\'':
			b.WriteString(`\(aq`)
		case r == '`':
			b.WriteString(`\(ga`)
		case r > 0x7e:
			fmt.Fprintf(&b, `\[u%04X]`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// guard keeps a line from being taken for a request.
func guard(line string) string {
	if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
		return `\&` + line
	}
	return line
}
