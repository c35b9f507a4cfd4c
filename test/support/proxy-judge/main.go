// Prints the proxy that Go's net/http uses for a URL in an environment. It reads one JSON object a line ({"url", "env"}) and
// prints a line for each: the proxy, "-" for none, or "!" for an error. Go reads the environment once per process, so each
// question runs in a separate process.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
)

type question struct {
	URL string            `json:"url"`
	Env map[string]string `json:"env"`
}

func main() {
	if len(os.Args) == 2 {
		fmt.Println(answer(os.Args[1]))
		return
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var current question
		if err := json.Unmarshal(lines.Bytes(), &current); err != nil {
			panic(err)
		}
		command := exec.Command(os.Args[0], current.URL)
		command.Env = []string{}
		for name, value := range current.Env {
			command.Env = append(command.Env, name+"="+value)
		}
		answer, err := command.Output()
		if err != nil {
			panic(err)
		}
		os.Stdout.Write(answer)
	}
}

func answer(url string) string {
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return "!"
	}
	proxy, err := http.ProxyFromEnvironment(request)
	switch {
	case err != nil:
		return "!"
	case proxy == nil:
		return "-"
	default:
		return proxy.Scheme + "://" + proxy.Host
	}
}
