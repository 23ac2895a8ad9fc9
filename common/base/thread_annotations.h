// clang's thread-safety attributes (-Wthread-safety); empty elsewhere.
//
//   Mutex mu_;
//   int n_ GUARDED_BY(mu_);
//   void Grow() REQUIRES(mu_);
//   void Add() EXCLUDES(mu_);
#pragma once

#if defined(__clang__)
#define LONGSPAN_THREAD_ATTRIBUTE(x) __attribute__((x))
#else
#define LONGSPAN_THREAD_ATTRIBUTE(x)
#endif

// Some libraries define macros of the same names and meaning; theirs win.
#ifndef GUARDED_BY
#define GUARDED_BY(x) LONGSPAN_THREAD_ATTRIBUTE(guarded_by(x))
#endif
#ifndef PT_GUARDED_BY
#define PT_GUARDED_BY(x) LONGSPAN_THREAD_ATTRIBUTE(pt_guarded_by(x))
#endif
#ifndef REQUIRES
#define REQUIRES(...) \
  LONGSPAN_THREAD_ATTRIBUTE(requires_capability(__VA_ARGS__))
#endif
#ifndef EXCLUDES
#define EXCLUDES(...) LONGSPAN_THREAD_ATTRIBUTE(locks_excluded(__VA_ARGS__))
#endif
#ifndef ACQUIRE
#define ACQUIRE(...) LONGSPAN_THREAD_ATTRIBUTE(acquire_capability(__VA_ARGS__))
#endif
#ifndef RELEASE
#define RELEASE(...) LONGSPAN_THREAD_ATTRIBUTE(release_capability(__VA_ARGS__))
#endif
#ifndef NO_THREAD_SAFETY_ANALYSIS
#define NO_THREAD_SAFETY_ANALYSIS \
  LONGSPAN_THREAD_ATTRIBUTE(no_thread_safety_analysis)
#endif
