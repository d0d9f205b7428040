package paper

import (
	"encoding/csv"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Formats are what [Sheet.Write] knows.
func Formats() []string { return []string{"text", "csv", "markdown", "latex"} }

// Write writes the sheet in one of Formats.
func (s *Sheet) Write(w io.Writer, format string) error {
	var b strings.Builder
	switch format {
	case "text":
		s.text(&b)
	case "csv":
		if err := s.csv(&b); err != nil {
			return err
		}
	case "markdown":
		s.markdown(&b)
	case "latex":
		s.latex(&b)
	default:
		return fmt.Errorf("format %q: there are %s", format, strings.Join(Formats(), ", "))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// heading is the sheet's in a line.
func (s *Sheet) heading() string { return s.Name + ". " + s.Title }

// grid is the sheet as words, a heading first.
func (s *Sheet) grid() [][]string {
	head := append([]string{}, s.Heads...)
	for _, c := range s.Columns {
		head = append(head, c.Title)
	}
	all := [][]string{head}
	for _, l := range s.Lines {
		row := append([]string{}, l.Labels...)
		for _, c := range l.Cells {
			row = append(row, c.String())
		}
		all = append(all, row)
	}
	return all
}

// best reports whether a word of the grid is the best of its column.
func (s *Sheet) best(row, column int) bool {
	if row == 0 || column < len(s.Heads) {
		return false
	}
	c := s.Lines[row-1].Cells[column-len(s.Heads)]
	return c != nil && c.Best
}

func (s *Sheet) text(b *strings.Builder) {
	fmt.Fprintf(b, "%s\n\n", s.heading())
	grid := s.grid()
	width := make([]int, len(grid[0]))
	for _, row := range grid {
		for i, cell := range row {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range grid {
		var line strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			if i < len(s.Heads) {
				line.WriteString(cell + pad + "  ")
			} else {
				line.WriteString(pad + cell + "  ")
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	b.WriteString("\n")
	for _, n := range s.Notes {
		b.WriteString(wrapped("- "+n, "  ", 120))
	}
}

// wrapped breaks a line between words.
func wrapped(s, indent string, width int) string {
	var b strings.Builder
	n := 0
	for i, word := range strings.Split(s, " ") {
		l := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case n+1+l > width:
			b.WriteString("\n" + indent)
			n = len(indent)
		default:
			b.WriteByte(' ')
			n++
		}
		b.WriteString(word)
		n += l
	}
	return b.String() + "\n"
}

// csv has two columns a column: means, and standard deviations where there are any. What stands below in other formats is in comments above.
func (s *Sheet) csv(b *strings.Builder) error {
	fmt.Fprintf(b, "# %s\n", s.heading())
	for _, n := range s.Notes {
		fmt.Fprintf(b, "# %s\n", n)
	}
	w := csv.NewWriter(b)
	head := append([]string{}, s.Heads...)
	for _, c := range s.Columns {
		head = append(head, c.Title, c.Title+" sd")
	}
	if err := w.Write(head); err != nil {
		return err
	}
	for _, l := range s.Lines {
		row := append([]string{}, l.Labels...)
		for _, c := range l.Cells {
			mean, sd := "", ""
			if c != nil {
				plain := Shown{Mean: c.Mean, Digits: c.Digits}
				mean = plain.String()
				if c.HasSD {
					plain.Mean = c.SD
					sd = plain.String()
				}
			}
			row = append(row, mean, sd)
		}
		if err := w.Write(row); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}

func (s *Sheet) markdown(b *strings.Builder) {
	fmt.Fprintf(b, "**%s**\n\n", s.heading())
	for i, row := range s.grid() {
		if i > 0 && s.Lines[i-1].Paper {
			for j, cell := range row {
				if cell != "" && j >= len(s.Heads)-1 {
					row[j] = "*" + cell + "*"
				}
			}
		}
		for j := range row {
			if s.best(i, j) {
				row[j] = "**" + row[j] + "**"
			}
		}
		for j, cell := range row {
			row[j] = strings.ReplaceAll(cell, "|", "\\|")
		}
		b.WriteString("| " + strings.Join(row, " | ") + " |\n")
		if i == 0 {
			b.WriteString("|" + strings.Repeat("---|", len(s.Heads)) + strings.Repeat("---:|", len(s.Columns)) + "\n")
		}
	}
	b.WriteString("\n")
	for _, n := range s.Notes {
		b.WriteString(wrapped("- "+n, "  ", 140))
	}
}

// latexEscapes are of what LaTeX reads as its own, of what its usual font has something else in the place of, and of what pdflatex has no
// character for.
var latexEscapes = strings.NewReplacer(`\`, `\textbackslash{}`, "&", `\&`, "%", `\%`, "$", `\$`, "#", `\#`, "_", `\_`, "{", `\{`, "}", `\}`,
	"~", `\textasciitilde{}`, "^", `\textasciicircum{}`, "|", `$|$`, "<", `$<$`, ">", `$>$`,
	"±", `$\pm$`, "×", `$\times$`, "·", `$\cdot$`, "−", `$-$`, "∩", `$\cap$`, "∪", `$\cup$`, "∂", `$\partial$`, "₀", `$_0$`,
	"α", `$\alpha$`, "β", `$\beta$`, "γ", `$\gamma$`, "λ", `$\lambda$`, "Δ", `$\Delta$`, "Σ", `$\Sigma$`)

// latex is a table environment for a document that uses booktabs.
func (s *Sheet) latex(b *strings.Builder) {
	fmt.Fprintf(b, "\\begin{table}\n\\caption{%s}\n\\centering\n\\begin{tabular}{%s%s}\n\\toprule\n", latexEscapes.Replace(s.heading()), strings.Repeat("l", len(s.Heads)), strings.Repeat("r", len(s.Columns)))
	for i, row := range s.grid() {
		for j, cell := range row {
			row[j] = latexEscapes.Replace(cell)
			if i > 0 && s.Lines[i-1].Paper && cell != "" && j >= len(s.Heads)-1 {
				row[j] = `\textit{` + row[j] + "}"
			}
			if s.best(i, j) {
				row[j] = `\textbf{` + row[j] + "}"
			}
		}
		b.WriteString(strings.Join(row, " & ") + ` \\` + "\n")
		if i == 0 {
			b.WriteString("\\midrule\n")
		}
	}
	b.WriteString("\\bottomrule\n\\end{tabular}\n\n\\begin{flushleft}\\footnotesize\n")
	for _, n := range s.Notes {
		b.WriteString(latexEscapes.Replace(n) + `\\` + "\n")
	}
	b.WriteString("\\end{flushleft}\n\\end{table}\n")
}
