"""What registries will hold in a year: the measured pushes replayed forward, many times, by chance.

The method, which ``outlook.METHOD`` says in the words that reports show:

* What was pushed is counted by week before now (``record``). A replay (``draws``) lives through weeks that
  it draws from these: runs of consecutive weeks, out of eight weeks of the past that lie together, so
  that one replay is a busy year and another a quiet one; the last weeks are likelier than old ones. All
  repositories live through the same weeks, so that what they do together stays together.
* Each push of such a week happens again, with its tags, its index or subject, and its layers: those that
  were new then are new again, and those that were there before are shared (``atoms``).
* Without a policy nothing leaves, and the sums of new bytes are all there is to it (``growth``).
* With policies, the evaluator that judges real images judges the simulated ones month by month, and what
  is left is counted blob by blob (``worlds``); where that is too much, the largest repositories and a
  sample are, and the others scaled (``courses``).
* The middle and the interval of all replays are what reports show (``intervals``).

The bootstrap of runs of weeks is the stationary one of Politis and Romano (1994); numbers come from NumPy's
Generator, quantiles from ``numpy.quantile``.
"""
