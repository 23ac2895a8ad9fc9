"""How long do readers wait, and how much is read and written?"""

from .description import (IN_NAMESPACE as N, NAMESPACE, Dashboard, Kind, Row,
                          panel, quantiles, query, stat)

FIRST = "longspan_time_to_first_token_seconds"
NEXT = "longspan_inter_token_latency_seconds"


def newest_quantile(series, quantile):
    return (f"histogram_quantile({quantile}, sum by (le) "
            f"(rate({series}_bucket{{{N}}}[$__rate_interval])))")


def buckets(series):
    return query(f"sum by (le) (increase({series}_bucket{{{N}}}"
                 "[$__rate_interval]))", "{{le}}")


NOW = Row("Now", (
    stat("First token, p95", "One in twenty requests waits longer.", "s",
         newest_quantile(FIRST, 0.95), width=6),
    stat("Between tokens, p95", "One in twenty tokens takes longer.", "s",
         newest_quantile(NEXT, 0.95), width=6),
    stat("Generated", "Tokens written for all requests.", "suffix: tok/s",
         f"sum(rate(longspan_generated_tokens_total{{{N}}}"
         "[$__rate_interval]))", width=6, decimals=1),
    stat("Requests", "Requests that got their first token.", "reqps",
         f"sum(rate({FIRST}_count{{{N}}}[$__rate_interval]))", width=6),
))

LATENCY = Row("Latency", (
    panel("Time to first token", """From the start of a request to its first
          token: reading the prompt, so it grows with the prompt. Buckets go
          to 600 s.""", "s", *quantiles(FIRST, N)),
    panel("Time to first token, all requests", """Two bands are two kinds of
          prompts; one band that rises is a cluster that slows down.""", "s",
          buckets(FIRST), kind=Kind.HEATMAP),
    panel("Between tokens", """Time from a token to the next of one request;
          what a reader feels. It does not grow with the prompt in linear
          layers.""", "s", *quantiles(NEXT, N)),
    panel("Between tokens, all tokens", "Is it steady, or does it stutter?",
          "s", buckets(NEXT), kind=Kind.HEATMAP),
))

WORK = Row("Work", (
    panel("Tokens per second", "Is the cluster reading or writing?",
          "suffix: tok/s",
          query(f"sum(rate(longspan_prompt_tokens_total{{{N}}}"
                "[$__rate_interval]))", "read (prompts)"),
          query(f"sum(rate(longspan_generated_tokens_total{{{N}}}"
                "[$__rate_interval]))", "written")),
    panel("Tokens of requests", """How long are prompts and answers? A request
          is shown until its worker's --metrics-grace is over.""", "short",
          query("sum by (job_id, kind) (longspan_tokens_processed_total"
                '{%s, kind=~"prefill|generate"})' % N,
                "{{job_id}} {{kind}}"), link="longspan-job"),
))

DASHBOARD = Dashboard(
    uid="longspan-inference",
    title="Longspan / Inference",
    description="How long do readers wait, and how much is read and written?",
    variables=(NAMESPACE,),
    rows=(NOW, LATENCY, WORK))
