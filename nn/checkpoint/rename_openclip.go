package checkpoint

// openCLIPDialect is what open_clip spells differently from OpenAI: the text
// encoder of a CustomTextCLIP lies under "text.", and the text projection can
// be a Linear, whose weight is the transpose of OpenAI's matrix. Models of
// open_clip's plain CLIP class are in OpenAI's dialect.
var openCLIPDialect = newDialect("open_clip", openAIVisual, openAIText, openAIScalars,
	[]row{{"text_projection.weight", "text_projection", transposed}},
	under("text.", "", openAIText,
		[]row{{"text_projection.weight", "text_projection", transposed}},
	),
)
