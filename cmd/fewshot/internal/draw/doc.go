// Package draw makes the program's pictures, by gonum/plot, in one style: curves, bars and heat maps, alone or several on
// a sheet.
//
// A [Figure] is a plain value that says what is shown, and nothing of how: a [Curves], [Bars], [Heat], or [Sheet] of
// them. It is written as SVG or PNG by [WriteFile], [SVG] and [PNG], or with colours that follow a page's ([Inline]):
//
//	err := draw.WriteFile("loss.svg", draw.Curves{Title: "loss", X: "epoch", Whole: true, Lines: []draw.Line{{Name: "seed 1", X: x, Y: y}}})
//
// Equal figures make equal bytes: there are no dates and no random names in them. Colour is never alone in telling things apart:
// lines differ by dashes and marks, bars by hatching, cells by lightness, so that a picture printed in grey is readable.
// Names may be anybody's: they are shown as package quote shows them, and shortened where they are long.
//
// A value that is NaN or infinite is a gap. Series whose lengths do not agree are a fault of the caller and panic.
package draw
