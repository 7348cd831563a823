package main

import (
	"github.com/spf13/cobra"

	"github.com/headrace/headrace/controlapi/httpapi"
)

// newOpenAPI makes the command that prints the API's document.
func newOpenAPI() *cobra.Command {
	return &cobra.Command{
		Use: "openapi", Short: "Print the API's OpenAPI document", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			document, err := httpapi.Document()
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(document)
			return err
		},
	}
}
