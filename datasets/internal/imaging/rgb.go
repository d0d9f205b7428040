package imaging

// RGB is a picture of 8-bit samples.
type RGB struct {
	W, H int
	Pix  []uint8 // R, G, B of each pixel, row by row, without padding: 3*W*H bytes
	// Warning says what is amiss with a file that decodes all the same: data that ends early, further frames that are left
	// out. It is empty for a sound still picture.
	Warning string
}

// NewRGB makes a black picture.
func NewRGB(w, h int) *RGB { return &RGB{W: w, H: h, Pix: make([]uint8, 3*w*h)} }
