#!/usr/bin/env bash
# A real Kubernetes of two nodes on one machine. It runs in network, mount and process namespaces of its own, and its end is the end of
# everything in it: servers, pods, mounts, addresses, packet filters. scripts/test_cluster.sh starts it with
#   BIN     the folder of Kubernetes' binaries
#   RUN     an empty folder: keys, logs, volumes, what the nodes store; `ready` appears in it when both nodes are ready
#   CGROUP  the name of a control group that does not exist
#   IMAGES  docker archives that both nodes load, by absolute paths
# Nothing of the machine changes but CGROUP, which the caller removes.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
export BIN RUN CGROUP IMAGES
# One network: the servers are at .1, the nodes at .11 and .12. Pods of node N are in 10.244.N.0/24.
export LAN=192.0.2
NODES=(1 2)
ADMIN=$RUN/admin.kubeconfig
mkdir -p "$RUN"/{pki,log,volumes}
cd "$RUN"

say() { echo "$(date +%T) $*"; }
wait_a_moment() { sleep 0.1; }
kubectl() { "$BIN/kubectl" --kubeconfig "$ADMIN" "$@"; }

# start NAME COMMAND...: in the background, with a log
start() { local name=$1; shift; "$@" > "log/$name.log" 2>&1 & }

network() {
  mount -t tmpfs tmpfs /run
  ip link set lo up
  ip link add lan0 type bridge
  ip address add $LAN.1/24 dev lan0
  ip link set lan0 up
  # Servers look for a default route to find out their own address.
  ip route add default dev lan0
  sysctl -qw net.ipv4.ip_forward=1
  local node
  for node in "${NODES[@]}"; do ip route add "10.244.$node.0/24" via "$LAN.1$node"; done
}

# certificate NAME SUBJECT ALTERNATIVE-NAMES, and a kubeconfig file that uses it
certificate() {
  local name=$1 subject=$2 names=$3
  openssl req -newkey rsa:2048 -nodes -keyout "pki/$name.key" -out "pki/$name.csr" -subj "$subject" 2>/dev/null
  openssl x509 -req -in "pki/$name.csr" -CA pki/ca.crt -CAkey pki/ca.key -CAcreateserial -days 2 -out "pki/$name.crt" \
    -extfile <(printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth\n' "$names") 2>/dev/null
  cat > "$name.kubeconfig" <<END
apiVersion: v1
kind: Config
clusters: [{name: cluster, cluster: {server: "https://$LAN.1:6443", certificate-authority: $RUN/pki/ca.crt}}]
users: [{name: $name, user: {client-certificate: $RUN/pki/$name.crt, client-key: $RUN/pki/$name.key}}]
contexts: [{name: cluster, context: {cluster: cluster, user: $name}}]
current-context: cluster
END
}

keys() {
  openssl req -x509 -newkey rsa:2048 -nodes -keyout pki/ca.key -out pki/ca.crt -subj /CN=cluster -days 2 2>/dev/null
  certificate server /CN=kube-apiserver "IP:127.0.0.1,IP:$LAN.1,IP:10.96.0.1,DNS:localhost,DNS:kubernetes.default.svc"
  certificate admin /O=system:masters/CN=admin DNS:admin
  local node
  for node in "${NODES[@]}"; do
    certificate "node-$node" "/O=system:nodes/CN=system:node:node-$node" "DNS:node-$node,IP:$LAN.1$node"
  done
  openssl genrsa -out pki/service-accounts.key 2048 2>/dev/null
  openssl rsa -in pki/service-accounts.key -pubout -out pki/service-accounts.pub 2>/dev/null
}

control_plane() {
  start etcd "$BIN/etcd" --data-dir "$RUN/etcd" --unsafe-no-fsync --log-level warn --listen-peer-urls http://127.0.0.1:2380 \
    --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379
  start kube-apiserver "$BIN/kube-apiserver" --etcd-servers http://127.0.0.1:2379 --secure-port 6443 --advertise-address $LAN.1 \
    --client-ca-file pki/ca.crt --tls-cert-file pki/server.crt --tls-private-key-file pki/server.key \
    --service-account-key-file pki/service-accounts.pub --service-account-signing-key-file pki/service-accounts.key \
    --service-account-issuer https://kubernetes.default.svc --service-cluster-ip-range 10.96.0.0/16 \
    --authorization-mode Node,RBAC --allow-privileged --kubelet-preferred-address-types InternalIP \
    --kubelet-client-certificate pki/admin.crt --kubelet-client-key pki/admin.key
  until kubectl get --raw /readyz >/dev/null 2>&1; do wait_a_moment; done
  start kube-controller-manager "$BIN/kube-controller-manager" --kubeconfig "$ADMIN" --leader-elect=false \
    --service-account-private-key-file pki/service-accounts.key --root-ca-file pki/ca.crt --use-service-account-credentials
  start kube-scheduler "$BIN/kube-scheduler" --kubeconfig "$ADMIN" --leader-elect=false
}

# Names of Services and of the pods behind headless ones. It answers at once that a name outside of the cluster does not exist.
name_server() {
  cat > Corefile <<END
. {
  bind $LAN.1
  errors
  kubernetes cluster.local in-addr.arpa {
    kubeconfig $ADMIN
    ttl 1
  }
}
END
  start coredns "$BIN/coredns" -conf Corefile
}

# Volumes that pods of both nodes may write at once, as a network file system's would be: folders of the one machine. The default
# StorageClass has a number of them, of which each claim takes one; a small one is full after 16 MiB.
volumes() {
  local number manifests=volumes.yaml
  cat > $manifests <<'END'
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: shared, annotations: {storageclass.kubernetes.io/is-default-class: "true"}}
provisioner: kubernetes.io/no-provisioner
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: small}
provisioner: kubernetes.io/no-provisioner
END
  mkdir -p volumes/small
  mount -t tmpfs -o size=16m,mode=1777 tmpfs volumes/small
  volume small small 100Gi >> $manifests
  for number in {1..40}; do
    mkdir -m 1777 "volumes/shared-$number"
    volume "shared-$number" shared 100Gi >> $manifests
  done
  kubectl create -f $manifests
}

# volume NAME CLASS SIZE
volume() {
  cat <<END
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: $1}
spec:
  storageClassName: $2
  capacity: {storage: $3}
  accessModes: [ReadWriteOnce, ReadWriteMany]
  persistentVolumeReclaimPolicy: Retain
  hostPath: {path: $RUN/volumes/$1, type: Directory}
END
}

nodes() {
  local node parent child
  for node in "${NODES[@]}"; do
    start "node-$node" unshare --net --mount --pid --uts --fork --kill-child --mount-proc --propagation private bash "$HERE/node.sh" "$node"
    parent=$!
    until child=$(pgrep -P "$parent" | head -n 1) && [ -n "$child" ]; do wait_a_moment; done
    # The namespace is there a moment after the process.
    until ip link add "lan$node" type veth peer name eth0 netns "$child" 2>/dev/null; do wait_a_moment; done
    ip link set "lan$node" master lan0 up
  done
  for node in "${NODES[@]}"; do
    until kubectl wait --for=condition=Ready "node/node-$node" --timeout=5s >/dev/null 2>&1; do wait_a_moment; done
    until [ -e "node-$node/loaded" ]; do wait_a_moment; done
  done
}

network
keys
say "starting the control plane"
control_plane
name_server
volumes
say "starting the nodes"
nodes
say "ready"
touch ready
wait
