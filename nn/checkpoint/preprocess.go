package checkpoint

import (
	"cmp"
	"strings"
)

// Preprocessing is how a model wants its images:
//
//	resize to Resize pixels with the filter Interpolation, antialiased: the shorter side, the other in proportion
//	  (Mode "shortest"), or both sides whatever the proportions ("squash")
//	cut out the centre square of Size pixels
//	convert to RGB, scale to [0, 1], subtract Mean and divide by Std, channel by channel
//
// A configuration that asks for anything else is refused when it is read. The zero value of no field stands for a default but
// Size and Resize.
type Preprocessing struct {
	Size          int        `json:"size"`          // side of the model's input in pixels; 0 if only the weights tell
	Resize        int        `json:"resize"`        // 0 if it is Size
	Mode          string     `json:"resize_mode"`   // "shortest" or "squash"
	Interpolation string     `json:"interpolation"` // "bicubic" or "bilinear"
	Mean          [3]float64 `json:"mean"`
	Std           [3]float64 `json:"std"`
}

// Values of a Preprocessing.
const (
	ResizeShortest = "shortest"
	ResizeSquash   = "squash"
	Bicubic        = "bicubic"
	Bilinear       = "bilinear"
)

// OpenAIPreprocessing is that of OpenAI's CLIP, which Hugging Face and open_clip use where a configuration does not say
// otherwise.
var OpenAIPreprocessing = Preprocessing{
	Mode:          ResizeShortest,
	Interpolation: Bicubic,
	Mean:          [3]float64{0.48145466, 0.4578275, 0.40821073},
	Std:           [3]float64{0.26862954, 0.26130258, 0.27577711},
}

// Resized is p for images of another size, whose shorter side becomes as much longer or shorter before the centre is cut out.
func (p Preprocessing) Resized(size int) Preprocessing {
	if p.Size != 0 {
		p.Resize = (p.Resize*size + p.Size/2) / p.Size
	}
	p.Size = size
	return p
}

// For completes p for a model whose weights take images of size pixels. It is an error of kind [Mismatch] if the
// configuration wants another size.
func (p Preprocessing) For(size int) (Preprocessing, error) {
	if p.Size == 0 {
		p.Size = size
	}
	if p.Size != size {
		return p, fault(Mismatch, "the configuration wants images of %d pixels, the weights of %d", p.Size, size)
	}
	if p.Resize == 0 {
		p.Resize = size
	}
	return p, nil
}

// imageProcessors are the classes of transformers whose configurations are read, with what they take where a file says nothing.
// A class that is not named here may do anything.
var imageProcessors = map[string]imageProcessor{
	"CLIPImageProcessor":       clipImages,
	"CLIPImageProcessorFast":   clipImages,
	"CLIPImageProcessorPil":    clipImages,
	"CLIPFeatureExtractor":     clipImages,
	"SiglipImageProcessor":     siglipImages,
	"SiglipImageProcessorFast": siglipImages,
	"SiglipImageProcessorPil":  siglipImages,
}

// An imageProcessor is an image processor's settings before they are put together.
type imageProcessor struct {
	Preprocessing      // mean, std, interpolation
	size, crop     int // pixels; 0 where the file says nothing
	square         bool
	cut, normalize bool
}

// defaultEdge is what transformers takes for size and crop_size where one of them is missing.
const defaultEdge = 224

var (
	clipImages   = imageProcessor{cut: true, normalize: true, Preprocessing: OpenAIPreprocessing}
	siglipImages = imageProcessor{square: true, normalize: true, Preprocessing: Preprocessing{
		Interpolation: Bicubic, Mean: [3]float64{.5, .5, .5}, Std: [3]float64{.5, .5, .5}}}
)

// hfPreprocessor reads the settings of an image processor of transformers: all of preprocessor_config.json, or the object
// image_processor of processor_config.json.
func hfPreprocessor(r *jsonReader) (Preprocessing, error) {
	// The class comes first: the others' defaults depend on it, wherever it stands.
	class := ""
	start := *r
	className := func(r *jsonReader) error {
		name, err := r.text()
		if err == nil && class != "" && class != name {
			return r.unsupported("two classes", quote(class), quote(name))
		}
		class = name
		return err
	}
	if err := (fields{"image_processor_type": className, "feature_extractor_type": className}).read(r, skipUnknown); err != nil {
		return Preprocessing{}, err
	}
	p, known := imageProcessors[class]
	if class == "" {
		p, known = clipImages, true
	}
	if !known {
		return Preprocessing{}, fault(Unsupported, "image processor").in("image_processor_type").
			wanted("CLIPImageProcessor or SiglipImageProcessor", quote(class))
	}
	*r = start
	err := fields{
		"image_mean":     wantTriple(&p.Mean, false),
		"image_std":      wantTriple(&p.Std, true),
		"crop_size":      wantSquare(&p.crop),
		"size":           p.readSize,
		"do_resize":      wantBool(true),
		"do_center_crop": readBool(&p.cut),
		"do_normalize":   readBool(&p.normalize),
		"do_rescale":     wantBool(true),
		"rescale_factor": wantNear(1.0 / 255),
		"resample":       p.readResample,
		"do_convert_rgb": skipField, // images are converted in any case
	}.read(r, func(r *jsonReader, key string) error {
		// Of the many keys that transformers writes, those that are steps of the work begin so: do_pad, do_flip_channel_order.
		if strings.HasPrefix(key, "do_") {
			return entryFault(wantBool(false)(r), key)
		}
		return r.skip()
	})
	if err != nil {
		return Preprocessing{}, err
	}
	return p.settle()
}

func (p *imageProcessor) readSize(r *jsonReader) error {
	if r.peek() != '{' {
		// A bare number is the shorter side to CLIP's processors, both sides to others.
		return wantCount(&p.size)(r)
	}
	var edge, height, width int
	err := fields{"shortest_edge": wantCount(&edge), "height": wantCount(&height), "width": wantCount(&width)}.read(r, refuseUnknown)
	switch {
	case err != nil:
		return err
	case edge != 0 && height == 0 && width == 0:
		p.size, p.square = edge, false
	case edge == 0 && height != 0 && height == width:
		p.size, p.square = height, true
	default:
		return r.unsupported("picture size", "a shortest_edge, or a height and an equal width",
			"shortest_edge "+intText(int64(edge))+", height "+intText(int64(height))+", width "+intText(int64(width)))
	}
	return nil
}

func (p *imageProcessor) readResample(r *jsonReader) error {
	n, err := r.natural()
	switch { // numbers of PIL.Image.Resampling
	case err != nil:
		return err
	case n == 3:
		p.Interpolation = Bicubic
	case n == 2:
		p.Interpolation = Bilinear
	default:
		return r.unsupported("interpolation", "2 (bilinear) or 3 (bicubic)", n)
	}
	return nil
}

// settle puts the settings together.
func (p *imageProcessor) settle() (Preprocessing, error) {
	out := p.Preprocessing
	out.Mode = ResizeShortest
	if p.square {
		out.Mode = ResizeSquash
	}
	if !p.normalize {
		out.Mean, out.Std = [3]float64{}, [3]float64{1, 1, 1}
	}
	// What transformers takes where one is missing. Where both are, the weights tell.
	size, crop := p.size, p.crop
	if !p.cut {
		crop = 0
	}
	if size+crop != 0 {
		size = cmp.Or(size, defaultEdge)
		crop = cmp.Or(crop, defaultEdge)
	}
	switch {
	case !p.cut && !p.square:
		return out, fault(Unsupported, "pictures that are resized on the shorter side and not cut: the model takes squares").
			in("do_center_crop").wanted(true, false)
	case !p.cut:
		out.Size, out.Resize = size, size
	case crop > size:
		return out, fault(Unsupported, "pictures resized to %d pixels and cut to %d, with a border", size, crop).in("crop_size")
	default:
		out.Size, out.Resize = crop, size
	}
	return out, nil
}

// readBool reads a truth value.
func readBool(to *bool) func(*jsonReader) error {
	return func(r *jsonReader) (err error) {
		*to, err = r.boolean()
		return err
	}
}

// hfProcessor reads processor_config.json, where transformers 5 puts an image processor's settings into image_processor. has says
// whether they are there: older files hold a class name and leave them to preprocessor_config.json.
func hfProcessor(r *jsonReader) (p Preprocessing, has bool, err error) {
	err = fields{"image_processor": func(r *jsonReader) (err error) {
		has = true
		p, err = hfPreprocessor(r)
		return err
	}}.read(r, skipUnknown)
	if err != nil {
		return p, has, err
	}
	return p, has, r.end()
}

// openCLIPPreprocessing are the fields of a preprocess_cfg. Of its size open_clip makes no use; the model's counts.
func openCLIPPreprocessing(p *Preprocessing, size *int) fields {
	return fields{
		"mean":          wantTriple(&p.Mean, false),
		"std":           wantTriple(&p.Std, true),
		"size":          wantSquare(size),
		"mode":          wantText("RGB"),
		"interpolation": wantOneOf(&p.Interpolation, Bicubic, Bilinear),
		"resize_mode":   wantOneOf(&p.Mode, ResizeShortest, ResizeSquash),
		"fill_color":    skipField, // of a border that neither mode has
	}
}

// wantOneOf reads one of some strings.
func wantOneOf(to *string, some ...string) func(*jsonReader) error {
	return func(r *jsonReader) error {
		got, err := r.text()
		if err != nil {
			return err
		}
		for _, s := range some {
			if got == s {
				*to = s
				return nil
			}
		}
		return r.unsupported("setting", strings.Join(some, " or "), quote(got))
	}
}
