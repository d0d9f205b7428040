package main

import (
	"flag"
	"fmt"
	"slices"
	"strconv"

	"fewshot/rmt/run"
)

// lasting are the flags that a result keeps: those that say which model, which images, and in which numbers. What flags
// of a method said is in its settings; prompts are in the spec.
var lasting = []string{"model", "vocab", "activation", "heads", "image-size", "pillow", "ensemble-order",
	"data", "dataset", "classes", "class-names", "class-level", "class-prompts", "label-column", "sample", "shots", "seed", "split", "split-seed",
	"mask", "select", "grid", "precision", "strassen", "micro-batch"}

// lastingFlags are those of a command line that were given.
func lastingFlags(fs *flag.FlagSet) map[string]string {
	all := map[string]string{}
	fs.Visit(func(f *flag.Flag) {
		if slices.Contains(lasting, f.Name) {
			all[f.Name] = f.Value.String()
		}
	})
	return all
}

// flagsOf are the flags by which a run is made again. Results of older programs do not keep them; the spec says the most of them.
func flagsOf(r *run.Result) map[string]string {
	all := map[string]string{"model": r.Model, "dataset": r.Dataset, "classes": r.Classes, "shots": strconv.Itoa(r.Shots), "seed": strconv.FormatUint(r.Seed, 10)}
	if c := r.Spec.Compute; c.Precision != "" {
		all["precision"] = c.Precision
		if c.Precision == "float32" {
			all["strassen"] = strconv.FormatBool(c.Strassen)
		}
	}
	for name, v := range r.Flags {
		if slices.Contains(lasting, name) {
			all[name] = v
		}
	}
	return all
}

// meantFor are flags that mean nothing for another model, or another data set, than the one that they were given for.
var meantFor = map[string][]string{
	"model":   {"vocab", "activation", "heads", "image-size", "pillow"},
	"dataset": {"class-names", "class-level", "class-prompts", "label-column", "sample", "split", "split-seed"},
}

// asThen sets the flags of a command, as far as it has them, to those of a run, where the command line says nothing of them.
func asThen(fs *flag.FlagSet, r *run.Result) error {
	given := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	flags := flagsOf(r)
	for what, theirs := range meantFor {
		if g := fs.Lookup(what); g != nil && given[what] && g.Value.String() != flags[what] {
			for _, name := range theirs {
				delete(flags, name)
			}
			given["template"] = given["template"] || what == "dataset"
		}
	}
	for _, name := range lasting {
		v, ok := flags[name]
		if !ok || given[name] || fs.Lookup(name) == nil {
			continue
		}
		if err := fs.Set(name, v); err != nil {
			return fmt.Errorf("%s says -%s %s: %w", run.ResultName, name, v, err)
		}
	}
	if r.Spec.Data.Prompts == "templates" && fs.Lookup("template") != nil && !given["template"] && !given["template-file"] && !given["class-prompts"] {
		for _, t := range r.Spec.Data.Templates {
			if err := fs.Set("template", t); err != nil {
				return err
			}
		}
	}
	return nil
}
