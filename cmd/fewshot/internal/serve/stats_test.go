package serve

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// TestStatistics: what each task was asked is counted as Triton does it: requests with their images, batches, those that failed apart. The
// clock of the test stands still where nobody waits, so that durations are 0.
func TestStatistics(t *testing.T) {
	f := start(t, func(_ *Config, o *Options) { o.Delay = 0 })
	ask := func(task string, want int, body []byte) {
		t.Helper()
		if w := f.ask("POST", "/v2/models/"+task+"/infer", body); w.Code != want {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	ask("m", 200, oipJSON(picture(1), picture(2)))
	ask("m", 200, oipJSON(picture(1)))
	ask("m", 400, oipJSON([]byte("no image")))
	if w := f.ask("POST", "/compare/m", picture(1)); w.Code != 200 { // the untouched model beside it is not asked for itself
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	m, err := f.repository.use("m")
	if err != nil {
		t.Fatal(err)
	}
	m.release()
	none := `{"count":0,"ns":0}`
	times := func(n int) string { return fmt.Sprintf(`{"count":%d,"ns":0}`, n) }
	stats := func(name string, images, executions, success, fail int, batches, memory string) string {
		return fmt.Sprintf(`{"name":%q,"version":"1","last_inference":0,"inference_count":%d,"execution_count":%d,"inference_stats":{"success":%s,"fail":%s,"queue":%s,`+
			`"compute_input":%s,"compute_infer":%s,"compute_output":%s,"cache_hit":%s,"cache_miss":%s},"response_stats":{},"batch_stats":[%s],"memory_usage":[%s]}`,
			name, images, executions, times(success), times(fail), times(success), times(success), times(success), times(success), none, none, batches, memory)
	}
	batch := func(size, n int) string {
		return fmt.Sprintf(`{"batch_size":%d,"compute_input":%s,"compute_infer":%[2]s,"compute_output":%[2]s}`, size, times(n))
	}
	memory := fmt.Sprintf(`{"type":"CPU","id":0,"byte_size":%d}`, m.bytes)
	one := stats("m", 4, 3, 3, 1, batch(1, 2)+","+batch(2, 1), memory)
	for path, want := range map[string]string{
		"/v2/models/m/stats":            `{"model_stats":[` + one + `]}`,
		"/v2/models/m/versions/1/stats": `{"model_stats":[` + one + `]}`,
		"/v2/models/stats":              `{"model_stats":[` + stats("clip", 0, 0, 0, 0, "", "") + "," + one + "," + stats("other", 0, 0, 0, 0, "", memory) + `]}`,
	} {
		if w := f.ask("GET", path, nil); w.Code != 200 || strings.TrimSpace(w.Body.String()) != want || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s: %d\n%s\nwant\n%s", path, w.Code, w.Body, want)
		}
	}
	if w := f.ask("GET", "/v2/models/nobody/stats", nil); w.Code != 404 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if err := CheckName("stats"); err == nil {
		t.Error("a task may have the name of all tasks' statistics")
	}
}

// TestParameters: of a request's parameters those that clients of Triton's send are taken, and others as Triton takes them; what Triton refuses is
// refused.
func TestParameters(t *testing.T) {
	for parameters, want := range map[string]string{
		`"sequence_id":3,"sequence_start":true,"sequence_end":false,"priority":1,"timeout":1000`: "",
		`"sequence_id":"a","triton_enable_empty_final_response":true`:                            "",
		`"mine":1.5,"other":"x","third":false`:                                                   "",
		`"binary_data_output":null`:                                                              "",
		`"binary_data_output":1`:                                                                 `parameter "binary_data_output" is true or false, not a number`,
		`"sequence_start":1`:                                                                     `parameter "sequence_start" is true or false, not a number`,
		`"sequence_id":true`:                                                                     `parameter "sequence_id" is a number or a string, not true or false`,
		`"priority":"high"`:                                                                      `parameter "priority" is a number, not a string`,
		`"timeout":null`:                                                                         `parameter "timeout" is a number, not null`,
		`"mine":[1]`:                                                                             `parameter "mine" is a number, a string, true or false, not a list or an object`,
		`"triton_mine":1`:                                                                        `parameter "triton_mine": names that begin with triton_ are Triton's`,
	} {
		_, err := parseInference([]byte(`{"parameters":{`+parameters+`},"inputs":[{"name":"image","shape":[1],"datatype":"BYTES","data":["eA=="]}]}`), -1, 1, 1)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", parameters, err, want)
		}
	}
}
