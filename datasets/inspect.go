package datasets

import (
	"context"

	"fewshot/datasets/internal/imaging"
)

// InspectImage tells, at a small part of the cost of decoding it, whether an encoded image looks sound: its format,
// its headers and size, and whether it goes on to its end. Every error is the *ImageError that [CheckImage] gives;
// damage within the codes of a JPEG image is not seen.
func InspectImage(name string, data []byte) error {
	return imaging.Inspect(name, data, imaging.DefaultLimits)
}

// Inspect reads the files of items and looks at each as [InspectImage] does, so that a missing, truncated or
// oversized image is known before a long run begins, and all of them at once. It returns nil, the context's error, or
// an *Error that names the first of those that are no good, in the order of the items, and their number.
func (d *Dataset) Inspect(ctx context.Context, items []Item) error {
	reasons := make([]string, len(items))
	each(ctx, len(items), func(i int) {
		data, err := d.ReadItem(items[i])
		if err == nil {
			err = InspectImage("", data)
		}
		if err != nil {
			v := unreadable(err)
			if reasons[i] = v.reason; v.missing {
				reasons[i] = "there is no such file"
			}
		}
	})
	if err := ctx.Err(); err != nil {
		return err
	}
	p := problems{file: d.Root}
	for i, reason := range reasons {
		if reason != "" {
			p.add("%s: %s", items[i].name(i), reason)
		}
	}
	return p.err("repair these images, or leave them out")
}
