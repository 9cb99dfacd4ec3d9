package main

import (
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// A manifest is what of a document points at something else.
type manifest struct {
	Kind     string
	Metadata struct{ Name, Namespace string }
	Spec     struct {
		Selector    any
		PodSelector struct {
			MatchLabels map[string]string `yaml:"matchLabels"`
		} `yaml:"podSelector"`
		Ports []struct {
			TargetPort string `yaml:"targetPort"`
		}
		Ingress []struct {
			Ports []struct{ Port int }
		}
		Template struct {
			Metadata struct{ Labels map[string]string }
			Spec     struct {
				Containers []struct {
					Args  []string
					Ports []struct {
						Name          string
						ContainerPort int `yaml:"containerPort"`
					}
					VolumeMounts []struct {
						Name, MountPath string
						ReadOnly        bool `yaml:"readOnly"`
					} `yaml:"volumeMounts"`
				}
				Volumes []struct {
					Name      string
					ConfigMap *struct{ Name string } `yaml:"configMap"`
				}
			}
		}
	}
}

// labels are those that a selector wants, in either of its two forms.
func (m manifest) labels() map[string]string {
	all := map[string]string{}
	asked, _ := m.Spec.Selector.(map[string]any)
	if inner, ok := asked["matchLabels"].(map[string]any); ok {
		asked = inner
	}
	for name, value := range asked {
		all[name], _ = value.(string)
	}
	maps.Copy(all, m.Spec.PodSelector.MatchLabels)
	return all
}

// TestManifestsAgree: what one document of a manifest names is there in another: pods by
// their labels, ports by their names and numbers, volumes and the files in them.
func TestManifestsAgree(t *testing.T) {
	for _, name := range []string{"front-door", "region"} {
		all := map[string]manifest{}
		d := yaml.NewDecoder(strings.NewReader(readDeploy(t, "kubernetes/"+name+".yaml")))
		for {
			var m manifest
			if err := d.Decode(&m); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			all[m.Kind] = m
		}
		namespace := all["Namespace"].Metadata.Name
		pod := all["Deployment"].Spec.Template
		for _, kind := range []string{"Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy"} {
			if !maps.Equal(all[kind].labels(), pod.Metadata.Labels) {
				t.Errorf("%s: the %s is for pods with %v, and they have %v", name, kind, all[kind].labels(), pod.Metadata.Labels)
			}
		}
		if maps.Equal(all["Job"].Spec.Template.Metadata.Labels, pod.Metadata.Labels) {
			t.Errorf("%s: the Service leads to the Job as well", name)
		}
		ports := map[string]int{}
		for _, p := range pod.Spec.Containers[0].Ports {
			ports[p.Name] = p.ContainerPort
		}
		for _, p := range all["Service"].Spec.Ports {
			if ports[p.TargetPort] == 0 || p.TargetPort == "private" {
				t.Errorf("%s: the Service leads to port %q of %v", name, p.TargetPort, ports)
			}
		}
		var let []int
		for _, in := range all["NetworkPolicy"].Spec.Ingress {
			for _, p := range in.Ports {
				let = append(let, p.Port)
			}
		}
		if slices.Sort(let); !slices.Equal(let, slices.Sorted(maps.Values(ports))) {
			t.Errorf("%s: the NetworkPolicy lets %v in, and the ports are %v", name, let, ports)
		}
		for kind, m := range all {
			if kind != "Namespace" && m.Metadata.Namespace != namespace {
				t.Errorf("%s: the %s is in %q", name, kind, m.Metadata.Namespace)
			}
			if kind == "Job" || kind == "Deployment" {
				mounted(t, name+" "+kind, m)
			}
		}
	}
}

// mounted checks that a pod's container finds its files where it looks for them.
func mounted(t *testing.T, where string, m manifest) {
	t.Helper()
	volumes := map[string]bool{}
	for _, v := range m.Spec.Template.Spec.Volumes {
		volumes[v.Name] = true
	}
	c := m.Spec.Template.Spec.Containers[0]
	found := false
	for _, v := range c.VolumeMounts {
		if !volumes[v.Name] {
			t.Errorf("%s: there is no volume %s", where, v.Name)
		}
		delete(volumes, v.Name)
		if !v.ReadOnly && v.Name != "state" {
			t.Errorf("%s: %s may be written to", where, v.Name)
		}
		found = found || v.Name == "config" && strings.HasPrefix(c.Args[len(c.Args)-1], "/etc/domicile/config/")
	}
	if len(volumes) > 0 || !found {
		t.Errorf("%s: volumes %v are not mounted, its configuration is: %v", where, volumes, found)
	}
}
