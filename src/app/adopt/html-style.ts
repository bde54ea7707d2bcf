/** The style of the report: part of the file, named by its hash in the page's policy. */
export const reportStyle = `
:root{color-scheme:light dark;--paper:#fbfaf8;--card:#fff;--ink:#1d2126;--faint:#59616b;--line:#dcd9d2;
--critical:#a3121f;--critical-soft:#fbe4e4;--high:#9a3b00;--high-soft:#fdeadb;--medium:#7a5600;--medium-soft:#fbf1d0;
--low:#4a5560;--low-soft:#eceef0;--good:#1c6b3c;--good-soft:#e0f2e6;--link:#0b5394}
@media (prefers-color-scheme:dark){:root{--paper:#15181c;--card:#1d2126;--ink:#e8e6e1;--faint:#a3abb5;--line:#363c44;
--critical:#ff9a9f;--critical-soft:#451a1e;--high:#ffb380;--high-soft:#42261a;--medium:#f0cd6b;--medium-soft:#3a3117;
--low:#bac3cc;--low-soft:#2b3138;--good:#86d9a4;--good-soft:#193625;--link:#8fc2f5}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:62rem;padding:1.5rem 1rem 3rem;background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;overflow-wrap:anywhere}
h1{font-size:1.9rem;line-height:1.2;margin:.2rem 0}h2{font-size:1.25rem;margin:2rem 0 .75rem}h3{font-size:1.02rem;margin:0}
p{margin:.3rem 0}a{color:var(--link)}code{font:.86em/1.45 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
.brand{font-weight:650;letter-spacing:.01em}.faint,.remedy,footer{color:var(--faint)}.roots code{margin-right:.6rem}
.totals{display:grid;grid-template-columns:repeat(auto-fill,minmax(13rem,1fr));gap:.6rem;margin:1.2rem 0 0}
.total{display:flex;flex-direction:column-reverse;justify-content:flex-end;padding:.6rem .8rem;background:var(--card);border:1px solid var(--line);border-radius:.5rem}
.total dd{margin:0;font-size:1.45rem;font-weight:650;font-variant-numeric:tabular-nums}.total dt{color:var(--faint);font-size:.9rem}
.total.critical dd{color:var(--critical)}.total.high dd{color:var(--high)}.total.medium dd{color:var(--medium)}
.incomplete{border:1px solid var(--medium);background:var(--medium-soft);border-radius:.5rem;padding:.2rem 1rem .6rem;margin-top:1rem}
.incomplete h2{margin:.6rem 0 .2rem;font-size:1.05rem}.incomplete ul{margin:0;padding-left:1.2rem}
.risks{list-style:none;margin:0;padding:0}
.risk,.model{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.7rem .9rem;margin:0 0 .6rem}
.risk{border-left:.3rem solid var(--low)}.risk.critical{border-left-color:var(--critical)}.risk.high{border-left-color:var(--high)}.risk.medium{border-left-color:var(--medium)}
.paths code{display:inline-block;margin-right:.7rem}.rule{color:var(--faint)}
.badge{display:inline-block;padding:0 .5rem;border-radius:1rem;font-size:.82rem;font-weight:600;background:var(--low-soft);color:var(--low)}
.badge.critical{background:var(--critical-soft);color:var(--critical)}.badge.high{background:var(--high-soft);color:var(--high)}
.badge.medium{background:var(--medium-soft);color:var(--medium)}.badge.good{background:var(--good-soft);color:var(--good)}
details{margin-top:.4rem}summary{cursor:pointer;color:var(--link)}.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.88rem;margin-top:.4rem}
th,td{text-align:left;vertical-align:top;padding:.25rem .7rem .25rem 0;border-bottom:1px solid var(--line)}
th{color:var(--faint);font-weight:600}td:nth-child(2),td:nth-child(3){white-space:nowrap}
@media print{:root{--paper:#fff;--card:#fff;--ink:#000;--faint:#444;--line:#bbb}body{max-width:none;padding:0;font-size:11pt}
.risk,.model,.total{break-inside:avoid}a{color:inherit;text-decoration:none}}
`;
