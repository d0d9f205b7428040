package datasets_test

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/png"
	"log"

	"fewshot/datasets"
)

// Two epochs of five images in batches of two: the order changes, the last image of each epoch is left out.
func ExampleLoader() {
	var buf bytes.Buffer
	if err := png.Encode(&buf, image.NewGray(image.Rect(0, 0, 40, 30))); err != nil {
		log.Fatal(err)
	}
	ds := &datasets.Dataset{Classes: []string{"night"}}
	for range 5 {
		ds.Train = append(ds.Train, datasets.Item{Class: "night", Data: buf.Bytes()})
	}
	loader := datasets.NewLoader(ds, ds.Train, datasets.LoaderOptions{
		Transform:  datasets.CLIPTransform(224),
		Augment:    datasets.RandomResizedCrop(0.5),
		BatchSize:  2,
		Shuffle:    true,
		DropLast:   true,
		Seed:       1,
		CacheBytes: 1 << 20,
	})
	for epoch := range 2 {
		for batch, err := range loader.Epoch(context.Background(), epoch, 0) {
			if err != nil {
				log.Fatal(err)
			}
			fmt.Printf("epoch %d: items %v, labels %v, %d pixels, first %.4f\n",
				epoch, batch.Indices, batch.Labels, len(batch.Pixels), batch.Pixels[0])
		}
	}
	// Output:
	// epoch 0: items [3 2], labels [0 0], 301056 pixels, first -1.7923
	// epoch 0: items [1 4], labels [0 0], 301056 pixels, first -1.7923
	// epoch 1: items [2 0], labels [0 0], 301056 pixels, first -1.7923
	// epoch 1: items [3 4], labels [0 0], 301056 pixels, first -1.7923
}
