// Package report makes a page of a run: one HTML file that needs nothing else, no network and no script, to be sent to a colleague or
// kept beside the run. What it shows is said in docs/report.md.
//
// All texts of strangers (names of classes and files, paths, prompts) go through html/template, and pictures through package draw; the
// page forbids its reader's browser to load anything by a Content-Security-Policy. It is well-formed XML too, which its test checks.
package report
