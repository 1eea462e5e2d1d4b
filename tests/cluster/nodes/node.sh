#!/usr/bin/env bash
# One node: containerd, a kubelet and kube-proxy in network, mount, process and host name namespaces of their own. cluster.sh starts it
# with the node's number.
set -euo pipefail
NODE=$1
NAME=node-$NODE
ADDRESS=$LAN.1$NODE
SOCKET=/run/containerd/containerd.sock
mkdir -p "$RUN/$NAME"/{cni,containerd,kubelet}
cd "$RUN/$NAME"

wait_a_moment() { sleep 0.1; }

network() {
  hostname "$NAME"
  ip link set lo up
  until ip link show eth0 >/dev/null 2>&1; do wait_a_moment; done
  ip address add "$ADDRESS/24" dev eth0
  ip link set eth0 up
  ip route add default via "$LAN.1"
  sysctl -qw net.ipv4.ip_forward=1
  local other
  for other in 1 2; do [ "$other" = "$NODE" ] || ip route add "10.244.$other.0/24" via "$LAN.1$other"; done
}

# Folders in which programs of a node leave things, whatever they are told.
folders() {
  local folder
  for folder in /run /var/log /var/lib; do mount -t tmpfs tmpfs "$folder"; done
  mkdir -p /run/containerd
}

# What the kubelet sets is the whole machine's: it sets copies.
keep_sysctls() {
  local setting
  for setting in kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys kernel/keys/root_maxbytes vm/overcommit_memory vm/panic_on_oom; do
    cat "/proc/sys/$setting" > "${setting//\//.}"
    mount --bind "${setting//\//.}" "/proc/sys/$setting"
  done
}

# A control group of the node's own, which the kubelet takes for the root.
control_group() {
  local controller value
  if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    mkdir -p "/sys/fs/cgroup/$CGROUP/$NAME"
    for controller in "" "/$CGROUP"; do
      sed 's/\</+/g' "/sys/fs/cgroup$controller/cgroup.controllers" > "/sys/fs/cgroup$controller/cgroup.subtree_control"
    done
    return
  fi
  for controller in /sys/fs/cgroup/*/; do
    [ -e "$controller/cgroup.procs" ] || continue
    mkdir -p "$controller/$CGROUP/$NAME"
  done
  # A cpuset takes nothing over from its parent by itself.
  for value in cpuset.cpus cpuset.mems; do
    cat "/sys/fs/cgroup/cpuset/$value" > "/sys/fs/cgroup/cpuset/$CGROUP/$value"
    cat "/sys/fs/cgroup/cpuset/$value" > "/sys/fs/cgroup/cpuset/$CGROUP/$NAME/$value"
  done
}

container_runtime() {
  cat > containerd.toml <<END
version = 3
root = "$PWD/containerd"
state = "/run/containerd"
[grpc]
address = "$SOCKET"
[plugins."io.containerd.cri.v1.runtime"]
# Without CAP_SYS_RESOURCE nobody may lower the score.
restrict_oom_score_adj = true
[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["/usr/lib/cni"]
conf_dir = "$PWD/cni"
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "localhost/pause:test"
END
  cat > cni/10-pods.conflist <<END
{"cniVersion": "1.0.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "pods0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.244.$NODE.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
END
  PATH=$BIN:$PATH "$BIN/containerd" -c containerd.toml > ../log/"$NAME-containerd.log" 2>&1 &
  until "$BIN/ctr" -a $SOCKET version >/dev/null 2>&1; do wait_a_moment; done
  local image
  for image in $IMAGES; do "$BIN/ctr" -a $SOCKET -n k8s.io images import "$image"; done
  touch loaded
}

kubelet() {
  # Pods that do not ask for the cluster's names have no names.
  : > resolv.conf
  cat > kubelet.yaml <<END
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupRoot: /$CGROUP/$NAME
oomScoreAdj: 0
makeIPTablesUtilChains: false
failSwapOn: false
containerRuntimeEndpoint: unix://$SOCKET
clusterDNS: [$LAN.1]
clusterDomain: cluster.local
resolvConf: $PWD/resolv.conf
podLogsDir: $RUN/log/$NAME-pods
volumePluginDir: $PWD/volume-plugins
authentication: {anonymous: {enabled: false}, webhook: {enabled: false}, x509: {clientCAFile: $RUN/pki/ca.crt}}
authorization: {mode: AlwaysAllow}
# The machine's disk and memory are not the tests' to judge.
evictionHard: {memory.available: "100Mi", nodefs.available: "1%", imagefs.available: "1%"}
imageGCHighThresholdPercent: 100
END
  "$BIN/kubelet" --kubeconfig "$RUN/$NAME.kubeconfig" --config kubelet.yaml --root-dir "$PWD/kubelet" --hostname-override "$NAME" \
    --node-ip "$ADDRESS" > ../log/"$NAME-kubelet.log" 2>&1 &
}

service_proxy() {
  cat > kube-proxy.yaml <<END
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
hostnameOverride: $NAME
clusterCIDR: 10.244.0.0/16
clientConnection: {kubeconfig: $RUN/admin.kubeconfig}
# These would be the whole machine's.
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
END
  "$BIN/kube-proxy" --config kube-proxy.yaml > ../log/"$NAME-kube-proxy.log" 2>&1 &
}

folders
network
keep_sysctls
control_group
container_runtime
kubelet
service_proxy
wait
