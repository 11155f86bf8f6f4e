// Read answers with what openapi-generator made, write them again, and ask a server.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"reflect"

	client "example.com/client"
)

var schemas = map[string]func() any{
	"CatalogResponse":        func() any { return &client.CatalogResponse{} },
	"ErrorResponse":          func() any { return &client.ErrorResponse{} },
	"HistoryResponse":        func() any { return &client.HistoryResponse{} },
	"InputResponse":          func() any { return &client.InputResponse{} },
	"ResetResponse":          func() any { return &client.ResetResponse{} },
	"RunsResponse":           func() any { return &client.RunsResponse{} },
	"StartResponse":          func() any { return &client.StartResponse{} },
	"StatusResponse":         func() any { return &client.StatusResponse{} },
	"StopResponse":           func() any { return &client.StopResponse{} },
	"StreamDone":             func() any { return &client.StreamDone{} },
	"StreamHistory":          func() any { return &[]client.HistoryEvent{} },
	"StreamWorkflow":         func() any { return &client.StreamWorkflow{} },
	"TerminateResponse":      func() any { return &client.TerminateResponse{} },
	"TraceResponse":          func() any { return &client.TraceResponse{} },
	"WorkflowResultResponse": func() any { return &client.WorkflowResultResponse{} },
}

// To this client a value of any type that is null is one that is missing.
func withoutNulls(value any) any {
	switch value := value.(type) {
	case map[string]any:
		kept := map[string]any{}
		for key, item := range value {
			if item != nil {
				kept[key] = withoutNulls(item)
			}
		}
		return kept
	case []any:
		for index, item := range value {
			value[index] = withoutNulls(item)
		}
	}
	return value
}

func parsed(text []byte) any {
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		panic(err)
	}
	return withoutNulls(value)
}

func problem(schema string, text []byte) string {
	make, known := schemas[schema]
	if !known {
		return "is of no known schema"
	}
	value := make()
	if err := json.Unmarshal(text, value); err != nil {
		return err.Error()
	}
	written, err := json.Marshal(value)
	if err != nil {
		return err.Error()
	}
	if !reflect.DeepEqual(parsed(text), parsed(written)) {
		return "became " + string(written)
	}
	return ""
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func ask(url string) {
	settings := client.NewConfiguration()
	settings.Servers = client.ServerConfigurations{{URL: url}}
	api := client.NewAPIClient(settings)
	ctx := context.Background()
	request := client.NewRunRequest("echo")
	request.SetInput(map[string]any{"a": 1})
	result, _, err := api.StartAPI.RunWorkflow(ctx).RunRequest(*request).Execute()
	must(err)
	text, err := json.Marshal(result)
	must(err)
	run := parsed(text).(map[string]any)
	if !reflect.DeepEqual(run["output"], map[string]any{"sum": 3.0, "of": map[string]any{"a": 1.0}}) {
		panic(fmt.Sprint("the result is ", run))
	}
	id := run["workflowId"].(string)
	page, _, err := api.HistoryAPI.GetHistory(ctx, id).Execute()
	must(err)
	if name := page.Events[0].WorkflowExecutionStartedEventAttributes.WorkflowType.Name; name != "echo" {
		panic("the workflow is " + name)
	}
	status, _, err := api.ReadAPI.GetStatus(ctx, id).Execute()
	must(err)
	if status.CompletedAt.Int64 == nil {
		panic("it has no end")
	}
	_, answer, err := api.ReadAPI.GetStatus(ctx, "nobody").Execute()
	if err == nil || answer.StatusCode != 404 {
		panic("it found what is not there")
	}
}

func main() {
	text, err := os.ReadFile(os.Args[1])
	must(err)
	var answers [][]json.RawMessage
	must(json.Unmarshal(text, &answers))
	for _, answer := range answers {
		var schema, file string
		must(json.Unmarshal(answer[0], &schema))
		must(json.Unmarshal(answer[2], &file))
		if found := problem(schema, answer[1]); found != "" {
			fmt.Printf("%s of %s: %.300s\n", schema, file, found)
		}
	}
	ask(os.Args[2])
}
