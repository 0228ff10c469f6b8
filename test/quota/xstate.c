/*
 * Loaded into linux.uml on processors with AMX, where it cannot start a process otherwise.
 *
 * User-mode Linux sets the registers of its processes by PTRACE_SETREGSET with a buffer that ends after
 * AVX-512. The kernel takes whole buffers only (EFAULT), and since AMX the whole is 11 KiB, whether a process
 * uses AMX or not. So the short buffer is laid over what the process has now.
 *
 * No header is needed to compile this, so that the smallest compiler of a distribution will do.
 */
typedef unsigned long ulong;
struct iovec {
  void *base;
  ulong len;
};

enum {
  SYS_ptrace = 101,
  PTRACE_GETREGSET = 0x4204,
  PTRACE_SETREGSET = 0x4205,
  NT_X86_XSTATE = 0x202,
  XSTATE_BV = 512 / sizeof(ulong), /* the bit map of states present, behind the legacy area */
  AMX = 3 << 17,                   /* its two states: tile configuration and data */
};

extern long syscall(long number, ...);

static long set_xstate(long pid, struct iovec *given) {
  static ulong whole[16384 / sizeof(ulong)];
  struct iovec all = {whole, sizeof whole};
  ulong i, amx;
  if (syscall(SYS_ptrace, (long)PTRACE_GETREGSET, pid, (long)NT_X86_XSTATE, &all) < 0) return -1;
  if (given->len >= all.len) return syscall(SYS_ptrace, (long)PTRACE_SETREGSET, pid, (long)NT_X86_XSTATE, given);
  amx = whole[XSTATE_BV] & AMX;
  for (i = 0; i < given->len / sizeof(ulong); i++) whole[i] = ((ulong *)given->base)[i];
  whole[XSTATE_BV] = (whole[XSTATE_BV] & ~(ulong)AMX) | amx;
  return syscall(SYS_ptrace, (long)PTRACE_SETREGSET, pid, (long)NT_X86_XSTATE, &all);
}

/* The system call writes the word that the PEEK requests (1 to 3) read to `data`; glibc's ptrace returns it. */
long ptrace(long request, long pid, ulong address, void *data) {
  ulong word = 0;
  int peek = request >= 1 && request <= 3;
  long result;
  request = (int)request;
  pid = (int)pid;
  if (request == PTRACE_SETREGSET && address == NT_X86_XSTATE) return set_xstate(pid, data);
  result = syscall(SYS_ptrace, request, pid, address, peek ? (void *)&word : data);
  return peek && result >= 0 ? (long)word : result;
}
