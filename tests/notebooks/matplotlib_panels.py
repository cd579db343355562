# ruff: noqa
# %%
import matplotlib.pyplot as plt
import numpy as np

plt.rcParams["axes.grid"] = True
x = np.linspace(0, 2 * np.pi, 50)
# %%
figure, axes = plt.subplots(2, 2, figsize=(5, 4))
(sine,) = axes[0, 0].plot(x, np.sin(x), label="sine")
len(figure.axes), sine.get_label()
# %% add to what another cell drew
axes[0, 1].bar(["a", "b"], [1, 3])
axes[1, 0].hist(np.random.default_rng(0).normal(size=200), bins=10)
sum(len(each.patches) for each in axes.flat)
# %% change a line through the name that it has
sine.set_ydata(np.cos(x))
sine.set_color("C3")
axes[0, 0].lines[0] is sine, float(axes[0, 0].lines[0].get_ydata()[0])
# %%
image = axes[1, 1].imshow(np.outer(x, x))
bar = figure.colorbar(image)
axes[1, 1].set_title("product")
[each.get_title() for each in figure.axes]
# %% the figure is drawn to memory; its size in pixels is the same anywhere
import io

buffer = io.BytesIO()
figure.savefig(buffer, format="png", dpi=50)
picture = plt.imread(io.BytesIO(buffer.getvalue()))
picture.shape


# %%
def decorate(ax, text):
    note = ax.annotate(text, (0.5, 0.5), xycoords="axes fraction")
    return note.get_text()


[decorate(each, str(n)) for n, each in enumerate(axes.flat)], plt.rcParams["axes.grid"]
# %%
axes[0, 1].clear()
len(axes[0, 1].patches), axes[0, 0].figure is figure
