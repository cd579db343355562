# ruff: noqa
# %%
import torch
from torch import nn

torch.manual_seed(0)
torch.set_num_threads(1)
X = torch.randn(64, 4)
y = (X[:, 0] * X[:, 1] > 0).float()
X.shape, int(y.sum())


# %%
class Net(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.first = nn.Linear(4, width)
        self.last = nn.Linear(width, 1)

    def forward(self, x):
        return self.last(torch.tanh(self.first(x))).squeeze(1)


net = Net(16)
sum(p.numel() for p in net.parameters())
# %%
loss_of = nn.BCEWithLogitsLoss()
optimizer = torch.optim.Adam(net.parameters(), lr=0.05)
history = []


def train(steps):
    for _ in range(steps):
        optimizer.zero_grad()
        loss = loss_of(net(X), y)
        loss.backward()
        optimizer.step()
        history.append(round(loss.item(), 4))
    return history[-1]


train(5) < history[0]
# %% the optimizer still moves the weights of this very net
before = net.first.weight.detach().clone()
train(20)
(
    bool((net.first.weight != before).any()),
    len(history),
    optimizer.param_groups[0]["params"][0] is net.first.weight,
)
# %% a view of a weight is the weight
row = net.first.weight.data[0]
row.zero_()
net.first.weight[0].detach().abs().sum().item()
# %%
train(40) < 0.6, int(optimizer.state[net.first.weight]["step"])
# %% tied weights stay tied
tied = nn.Linear(16, 4, bias=False)
tied.weight = nn.Parameter(net.first.weight.data.t().contiguous())
pair = {"one": tied.weight, "two": tied.weight}
pair["one"] is pair["two"], tied.weight.data_ptr() == pair["two"].data_ptr()
# %%
state = {k: v.shape for k, v in net.state_dict().items()}
net.eval()
with torch.no_grad():
    right = ((net(X) > 0).float() == y).float().mean().item()
right > 0.7, list(state), net.training
# %% the generator goes on
torch.rand(2).tolist() != torch.rand(2).tolist(), torch.randint(0, 1000, (3,)).tolist()
