package plan

import (
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"fewshot/nn/quote"
)

// Formats are those of [Table.Write].
func Formats() []string { return []string{"text", "csv", "markdown", "latex"} }

// Write writes the table in a format of Formats: mean ± standard deviation over seeds, where there are several; and, if ci95, the 95 %
// confidence interval of the mean by Student's t.
func (t *Table) Write(w io.Writer, format string, ci95 bool) error {
	switch format {
	case "text":
		return t.text(w, ci95)
	case "csv":
		return t.csv(w)
	case "markdown":
		return t.markdown(w, ci95)
	case "latex":
		return t.latex(w, ci95)
	}
	return fmt.Errorf("format %s: there are %s", quote.String(format), strings.Join(Formats(), ", "))
}

// cell writes a cell as text.
func (c *Cell) text(pm string, ci95 bool) string {
	switch {
	case len(c.Values) == 0 && c.Problem != "":
		return "n/a"
	case len(c.Values) == 0:
		return "–"
	}
	s := c.Values.written()
	if d := c.Values.Std(); !math.IsNaN(d) {
		s += pm + fmt.Sprintf("%.2f", d)
		if ci95 {
			s += fmt.Sprintf(" [%.2f, %.2f]", c.Values.Mean()-c.Values.CI95(), c.Values.Mean()+c.Values.CI95())
		}
	}
	if c.Missing > 0 {
		s += "*"
	}
	return s
}

func (t *Table) text(w io.Writer, ci95 bool) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(tw, "method\t%s\t\n", strings.Join(quoted(t.Columns), "\t"))
	for _, r := range t.Rows {
		fmt.Fprintf(tw, "%s\t", quote.Text(r.Name))
		for i := range r.Cells {
			fmt.Fprintf(tw, "%s\t", r.Cells[i].text(" ± ", ci95))
		}
		fmt.Fprintln(tw)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	return t.legend(w, "%s\n")
}

// legend says what stars mean.
func (t *Table) legend(w io.Writer, format string) error {
	for _, r := range t.Rows {
		for _, c := range r.Cells {
			if c.Missing > 0 && len(c.Values) > 0 {
				_, err := fmt.Fprintf(w, format, "* runs are missing")
				return err
			}
		}
	}
	return nil
}

func quoted(all []string) []string {
	var q []string
	for _, s := range all {
		q = append(q, quote.Text(s))
	}
	return q
}

// csv writes one line a cell, with every seed's value.
func (t *Table) csv(w io.Writer) error {
	out := csv.NewWriter(w)
	out.Write([]string{"method", "column", "mean", "std", "ci95", "n", "missing", "seeds", "values"})
	number := func(x float64) string {
		if math.IsNaN(x) {
			return ""
		}
		return strconv.FormatFloat(x, 'f', 4, 64)
	}
	for _, r := range t.Rows {
		for i, c := range r.Cells {
			var seeds, values []string
			for j, v := range c.Values {
				seeds, values = append(seeds, strconv.FormatUint(c.Seeds[j], 10)), append(values, number(v))
			}
			mean := ""
			if len(c.Values) > 0 {
				mean = number(c.Values.Mean())
			}
			out.Write([]string{r.Name, t.Columns[i], mean, number(c.Values.Std()), number(c.Values.CI95()), strconv.Itoa(len(c.Values)), strconv.Itoa(c.Missing),
				strings.Join(seeds, " "), strings.Join(values, " ")})
		}
	}
	out.Flush()
	return out.Error()
}

func (t *Table) markdown(w io.Writer, ci95 bool) error {
	escape := strings.NewReplacer("|", `\|`, "*", `\*`, "_", `\_`, "<", "&lt;")
	row := func(name string, cells []string) error {
		_, err := fmt.Fprintf(w, "| %s | %s |\n", name, strings.Join(cells, " | "))
		return err
	}
	var head, rule []string
	for _, c := range t.Columns {
		head, rule = append(head, escape.Replace(quote.Text(c))), append(rule, "---:")
	}
	if err := row("method", head); err != nil {
		return err
	}
	if err := row("---", rule); err != nil {
		return err
	}
	for i, r := range t.Rows {
		var cells []string
		for j := range r.Cells {
			s := strings.ReplaceAll(r.Cells[j].text(" ± ", ci95), "*", `\*`)
			if slices.Contains(t.Best(j), i) {
				s = "**" + s + "**"
			}
			cells = append(cells, s)
		}
		if err := row(escape.Replace(quote.Text(r.Name)), cells); err != nil {
			return err
		}
	}
	return t.legend(w, "\n\\%s\n")
}

func (t *Table) latex(w io.Writer, ci95 bool) error {
	escape := strings.NewReplacer(`\`, `\textbackslash{}`, "_", `\_`, "%", `\%`, "&", `\&`, "#", `\#`, "$", `\$`, "{", `\{`, "}", `\}`, "~", `\textasciitilde{}`, "^", `\textasciicircum{}`, "→", `$\to$`)
	var b strings.Builder
	fmt.Fprintf(&b, "\\begin{tabular}{l%s}\n\\hline\nmethod", strings.Repeat("r", len(t.Columns)))
	for _, c := range t.Columns {
		b.WriteString(" & " + escape.Replace(quote.Text(c)))
	}
	b.WriteString(" \\\\\n\\hline\n")
	for i, r := range t.Rows {
		b.WriteString(escape.Replace(quote.Text(r.Name)))
		for j := range r.Cells {
			s := strings.ReplaceAll(r.Cells[j].text(" $\\pm$ ", ci95), "–", "--")
			if slices.Contains(t.Best(j), i) {
				s = "\\textbf{" + s + "}"
			}
			b.WriteString(" & " + s)
		}
		b.WriteString(" \\\\\n")
	}
	b.WriteString("\\hline\n\\end{tabular}\n")
	if _, err := io.WriteString(w, b.String()); err != nil {
		return err
	}
	return t.legend(w, "%% %s\n")
}
