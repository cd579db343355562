# ruff: noqa
# %% a noisy signal
import numpy as np

rng = np.random.default_rng(12)
t = np.linspace(0, 1, 2048, endpoint=False)
clean = np.sin(2 * np.pi * 50 * t) + 0.5 * np.sin(2 * np.pi * 120 * t)
noisy = clean + rng.normal(0, 0.8, t.size)
noisy[:3].round(4)
# %% its spectrum; only the first half tells something new
spectrum = np.fft.rfft(noisy)
power = np.abs(spectrum) ** 2 / t.size
frequencies = np.fft.rfftfreq(t.size, t[1] - t[0])
peaks = frequencies[np.argsort(power)[-2:]]
sorted(peaks.tolist())
# %% a view of the upper band, silenced through the view
upper = spectrum[400:]
upper[:] = 0
np.count_nonzero(spectrum)
# %%
weak = power < 60
spectrum[weak] = 0
restored = np.fft.irfft(spectrum)
error = float(np.sqrt(np.mean((restored - clean) ** 2)))
print(f"error {error:.3f}, kept {np.count_nonzero(spectrum)} lines")
# %% windows over the signal share its memory
windows = np.lib.stride_tricks.sliding_window_view(restored, 64)[::64]
energy = (windows**2).sum(axis=1)
restored[:64] = 0
energy_after = (windows**2).sum(axis=1)
print(windows.shape, energy[0] > 1, energy_after[0])
# %% a structured array and a masked one
table = np.zeros(3, dtype=[("name", "U8"), ("level", "f4")])
table["name"] = ["low", "mid", "high"]
table["level"] = energy[:3]
masked = np.ma.masked_greater(energy[:5], np.median(energy))
table["name"], masked.count()
# %% the generator goes on where it was
more = rng.integers(0, 100, 4)
more.tolist(), np.linalg.norm(np.outer(more, more)).round(6)
