// A program for pods of tests, in an image of nothing else.
//
//	probe serve ADDRESS TEXT    answers every HTTP request with TEXT
//	probe get URL               prints the body of a 200 answer
//	probe write FILE TEXT       writes the file and prints who wrote it
//	probe hold                  waits for SIGTERM
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func serve(address, text string) error {
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, text) })
	fmt.Println("serving on", address)
	return http.ListenAndServe(address, handler)
}

func get(url string) error {
	client := http.Client{Timeout: 10 * time.Second}
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", url, response.Status)
	}
	_, err = io.Copy(os.Stdout, response.Body)
	return err
}

func write(path, text string) error {
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		return err
	}
	fmt.Printf("wrote %s as %d:%d\n", path, os.Getuid(), os.Getgid())
	return nil
}

func hold() error {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	fmt.Println("holding")
	<-stop
	return nil
}

func run(args []string) error {
	switch {
	case len(args) == 3 && args[0] == "serve":
		return serve(args[1], args[2])
	case len(args) == 2 && args[0] == "get":
		return get(args[1])
	case len(args) == 3 && args[0] == "write":
		return write(args[1], args[2])
	case len(args) == 1 && args[0] == "hold":
		return hold()
	}
	return fmt.Errorf("usage: probe serve ADDRESS TEXT | get URL | write FILE TEXT | hold")
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}
