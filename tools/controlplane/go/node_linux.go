//go:build node

package main

import (
	"context"

	"github.com/spf13/cobra"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// The programs that a cluster with a node needs in addition. kubelet runs only on Linux.
func init() {
	programs["kube-scheduler"] = cobraProgram(func() *cobra.Command { return scheduler.NewSchedulerCommand() })
	programs["kubelet"] = cobraProgram(func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) })
}
