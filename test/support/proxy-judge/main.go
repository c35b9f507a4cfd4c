// Which proxy Go's net/http uses for a URL in an environment. It reads one JSON object a line ({"url", "env"}) and answers with
// a line each: the proxy, "-" for none, or "!" for an error. The environment is read once per process, so each question is
// asked of a process of its own.
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
		var asked question
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			panic(err)
		}
		command := exec.Command(os.Args[0], asked.URL)
		command.Env = []string{}
		for name, value := range asked.Env {
			command.Env = append(command.Env, name+"="+value)
		}
		said, err := command.Output()
		if err != nil {
			panic(err)
		}
		os.Stdout.Write(said)
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
