# One server, for one machine; run three or five where it must not fail.
datacenter       = "dc1"
server           = true
bootstrap_expect = 1
data_dir         = "/consul/data"
client_addr      = "0.0.0.0"

acl {
  enabled                  = true
  default_policy           = "deny"
  enable_token_persistence = true
}

ports {
  http  = -1
  https = 8501
}

tls {
  defaults {
    ca_file   = "/consul/config/tls/private-ca.pem"
    cert_file = "/consul/config/tls/consul.pem"
    key_file  = "/consul/config/tls/consul.key"
  }
}
