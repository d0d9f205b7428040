package method

import (
	"fmt"
	"strings"
)

// Prompts are the classes' in the first of the job's templates, tokenised: what methods that train through the text encoder encode at
// each step.
func (j *Job) Prompts(classes []string) ([][]int32, error) {
	if err := j.Model.NeedText(); err != nil {
		return nil, err
	}
	template := j.Templates[0]
	if !strings.Contains(template, "{}") {
		return nil, fmt.Errorf("template %q has no {} for the class name", template)
	}
	var prompts [][]int32
	for _, c := range classes {
		ids, err := j.Model.Tokenizer.Tokenize(strings.ReplaceAll(template, "{}", c), j.Model.Text.Context, false)
		if err != nil {
			return nil, fmt.Errorf("class %q: %w", c, err)
		}
		prompts = append(prompts, ids)
	}
	return prompts, nil
}
