package main

import (
	"fmt"
	"image"
	"image/color"
	"slices"

	"fewshot/cmd/fewshot/internal/draw"
	"fewshot/datasets/synth"
	"fewshot/rmt/plan"
)

// picture refuses a picture's file that could not be written, before there is any work. "" is none.
func (o *outputs) picture(flag, path string) error {
	if err := o.check(flag, path); err != nil || path == "" {
		return err
	}
	if err := draw.CheckName(path); err != nil {
		return usagef("-%s %v", flag, err)
	}
	return nil
}

// figureExamples is how many test images of a task are shown.
const figureExamples = 5

// figure is for each task some test images, and each method's accuracy: its mean over seeds and, with several, the standard deviation.
func figure(rows []demoResult, title string) (draw.Figure, error) {
	var tasks, methods []string
	accuracies := map[[2]string]plan.Sample{}
	for _, r := range rows {
		if !slices.Contains(tasks, r.Task) {
			tasks = append(tasks, r.Task)
		}
		if !slices.Contains(methods, r.Method) {
			methods = append(methods, r.Method)
		}
		k := [2]string{r.Task, r.Method}
		accuracies[k] = append(accuracies[k], r.Accuracy)
	}
	f := draw.Bars{Title: title, Y: "accuracy, %", Groups: tasks, Across: true, Format: "%.1f", W: 620}
	for _, m := range methods {
		b := draw.Bar{Name: m}
		for _, t := range tasks {
			a := accuracies[[2]string{t, m}]
			b.Values, b.Err = append(b.Values, a.Mean()), append(b.Err, a.Std())
		}
		f.Series = append(f.Series, b)
	}
	rgb := make([]uint8, synth.Size*synth.Size*3)
	for _, name := range tasks {
		task, split, ok := lookupTask(name)
		if !ok {
			return nil, fmt.Errorf("figure: no task %q", name)
		}
		var examples []image.Image
		for i := range figureExamples {
			task.Item(rgb, worldSeed, split, i*len(task.Classes)/figureExamples)
			examples = append(examples, picture(rgb, synth.Size))
		}
		f.Pictures = append(f.Pictures, examples)
	}
	return f, nil
}

// picture is interleaved bytes as an image.
func picture(rgb []uint8, side int) image.Image {
	m := image.NewRGBA(image.Rect(0, 0, side, side))
	for p := range side * side {
		m.SetRGBA(p%side, p/side, color.RGBA{rgb[3*p], rgb[3*p+1], rgb[3*p+2], 0xff})
	}
	return m
}
