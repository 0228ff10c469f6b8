/** The settings of layers behind URLs for layouts that have none. */
export const NO_URLS = {
  certificates: undefined,
  proxies: { http: undefined, https: undefined, no: undefined },
  roots: { file: undefined, directories: undefined },
  userAgent: 'graft/test',
  idleSeconds: 10,
};
