/** The property sets that the jobs' tests share. */
import { type Properties, properties } from './release.ts';

export const PEM = '-----BEGIN CERTIFICATE-----\nMIIB"$(touch /tmp/no)\'\n-----END CERTIFICATE-----\n';

/** Every property of the job `graft` set to something else than its default. */
export const FULL_GRAFT: Properties = properties({
  'graft.unprivileged_store.path': '/var/vcap/store-a/u',
  'graft.unprivileged_store.size_in_mb': 2048,
  'graft.privileged_store.path': '/var/vcap/store-b/p',
  'graft.privileged_store.size_in_mb': 1024,
  'graft.data_path': '/var/vcap/store-a',
  'graft.reserved_space_for_other_jobs_in_mb': 2000,
  'graft.routine_gc': true,
  'graft.gc_threshold_in_mb': 500,
  'graft.gc_interval_in_seconds': 30,
  'graft.require_disk_limits': false,
  'graft.retire_stores': true,
  'graft.log_level': 'debug',
  'graft.metron_port': 0,
  'graft.limits.inodes': 500000,
  'graft.limits.inodes_per_gib': 65536,
  'graft.layers': 'auto',
  'graft.cache.keep': ['docker:///cloudfoundry/*'],
  'graft.metrics.file': '/var/vcap/data/node_exporter/graft.prom',
  'graft.trust.policy': '/var/vcap/data/policy/policy.json',
  'graft.trust.registries_d': '/var/vcap/data/policy/registries.d',
  'graft.trust.accept_unverified_layers': ['unpacked.cern.ch'],
  'graft.trust.identities': {
    'registry.example/team': [
      { issuer: 'https://login.example', uri: 'https://ci.example/team/*/release.yml@refs/tags/*' },
    ],
  },
  'graft.trust.accept_unnamed_bundles': ['registry.example/team'],
  'graft.skip_mount': true,
  'graft.skip_layer_validation': false,
  'graft.direct_io': true,
  'graft.insecure_docker_registry_list': ['registry.internal:5000', '10.0.0.9'],
  'graft.registries.hosts': {
    'docker.io': { mirrors: [{ location: 'mirror.internal/hub', trusted: true }] },
    'registry.internal:5000': { credential_helper: 'ecr-login', token_realms: ['auth.internal'] },
    'evil.example': { blocked: true },
  },
  'graft.registries.insecure': ['old.internal'],
  'graft.registries.require_digest': true,
  'graft.registries.always_authenticate': 'always',
  'graft.registries.credential_helpers.path': '/var/vcap/packages/helpers/bin',
  'graft.registries.credential_helpers.environment': { AWS_REGION: 'eu-central-1' },
  'graft.registries.credential_helpers.timeout_ms': 5000,
  'graft.registries.certs_dirs': ['/etc/docker/certs.d'],
  'graft.registries.registries_conf': ['/etc/containers/registries.conf'],
  'graft.registries.proxy.http': 'http://proxy.internal:3128',
  'graft.registries.proxy.https': 'http://proxy.internal:3128',
  'graft.registries.proxy.no_proxy': '.internal,10.0.0.0/8',
  'graft.registries.parallel_downloads': 3,
  'graft.registries.resume_from_bytes': 1000000,
  'graft.registries.foreign_hosts': ['mcr.microsoft.com'],
  'graft.registries.timeouts.connect_ms': 1000,
  'graft.registries.timeouts.answer_ms': 2000,
  'graft.registries.timeouts.idle_ms': 3000,
  'graft.registries.timeouts.slow_window_ms': 4000,
  'graft.registries.timeouts.slow_bytes_per_second': 10,
  'graft.registries.timeouts.total_ms': 600000,
  'graft.registries.retries.attempts': 2,
  'graft.registries.retries.first_pause_ms': 100,
  'graft.registries.retries.longest_pause_ms': 1000,
  'graft.registries.retries.retry_after_max_ms': 1000,
  'graft.registry_certificates': [
    { registry: 'registry.internal:5000', ca_cert: PEM },
    { registry: 'mirror.internal', ca_cert: PEM, client_cert: PEM, client_key: PEM },
  ],
  'graft.docker_config': { auths: { 'registry.internal:5000': { auth: 'dXNlcjpwYXNzd29yZA==' } } },
  'graft.remote_layer.tls.ca_cert': PEM,
  'graft.remote_layer.tls.cert': PEM,
  'graft.remote_layer.tls.key': PEM,
  'graft.cvmfs.repositories': [
    { path: '/cvmfs/unpacked.cern.ch', registries: ['registry-1.docker.io/library/*'] },
  ],
});

/** What excludes a part of the full set: a file of credentials that comes to the cell in another way. */
const OTHER_GRAFT: Properties = properties({
  'graft.registries.docker_config': '/var/vcap/data/docker/config.json',
});

/** The least that the job `cvmfs-client` needs. */
const LEAST_CVMFS: Properties = properties({ 'cvmfs.http_proxy': 'DIRECT' });

export const FULL_CVMFS: Properties = properties({
  'cvmfs.repositories': [
    {
      name: 'unpacked.cern.ch',
      server_urls: ['http://one.internal/cvmfs/@fqrn@', 'http://two.internal/cvmfs/@fqrn@'],
      public_keys: [PEM.replaceAll("'", ''), 'second'],
      root_hash: 'ab'.repeat(20),
    },
    { name: 'test.local', server_urls: ['http://one.internal/cvmfs/@fqrn@'], public_keys: ['third'] },
  ],
  'cvmfs.http_proxy': 'http://squid1:3128|http://squid2:3128;DIRECT',
  'cvmfs.cache_path': '/var/vcap/store-a/cvmfs',
  'cvmfs.cache_quota_in_mb': 20000,
  'cvmfs.mount_root': '/mnt/cvmfs',
  'cvmfs.unprivileged_mount_root': '/mnt/cvmfs-mapped',
  'cvmfs.proxy_timeout_in_seconds': 3,
  'cvmfs.direct_timeout_in_seconds': 4,
  'cvmfs.max_retries': 2,
  'cvmfs.probe_interval_in_seconds': 5,
  'cvmfs.probe_deadline_in_seconds': 1,
  'cvmfs.parameters': { CVMFS_KCACHE_TIMEOUT: '120', CVMFS_NFILES: 65536 },
});

/** The least that the job `graft-publisher` needs. */
const LEAST_PUBLISHER: Properties = properties({
  'graft_publisher.token': 'a-token-that-nobody-guesses',
  'graft_publisher.allow': [
    { registry: 'registry.internal:5000', repository: 'team/*', targets: ['cvmfs:images.example.org'] },
  ],
});

const FULL_PUBLISHER: Properties = properties({
  'graft_publisher.user': 'publisher',
  'graft_publisher.token': 'a-token\'with"$(quotes)',
  'graft_publisher.docker_config': { auths: { 'registry.internal:5000': { auth: 'dXNlcjpwYXNzd29yZA==' } } },
  'graft_publisher.registries': { insecure: ['old.internal'] },
  'graft_publisher.listen': '[::1]:9000',
  'graft_publisher.queue': '/var/vcap/store/queue',
  'graft_publisher.allow': [
    {
      registry: 'registry.internal:5000',
      repository: 'team/*',
      targets: ['directory:/srv/a b', 'directory:/srv/other'],
    },
  ],
  'graft_publisher.max_queued': 10,
  'graft_publisher.max_per_hour': 20,
});

/** For each job: what must render, by name. */
export const SETS: Readonly<Record<string, Readonly<Record<string, Properties>>>> = {
  graft: { default: {}, other: OTHER_GRAFT, full: FULL_GRAFT },
  'cvmfs-client': { least: LEAST_CVMFS, full: FULL_CVMFS },
  'graft-doctor': { default: {} },
  'graft-publisher': { least: LEAST_PUBLISHER, full: FULL_PUBLISHER },
};
