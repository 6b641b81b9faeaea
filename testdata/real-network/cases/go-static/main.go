package main

import (
	"fmt"
	"net/http"
	"os"
)

var version = "unset"

func main() {
	if len(os.Args) > 1 && os.Args[1] == "-check" {
		if version != "1.2.3" || os.Getuid() != 65532 {
			panic(fmt.Sprint(version, os.Getuid()))
		}
		return
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, version) })
	panic(http.ListenAndServe(":8080", nil))
}
