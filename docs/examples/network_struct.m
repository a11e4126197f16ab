function s = network_struct(net)
%NETWORK_STRUCT What cbp needs of a network, as a plain struct.
n = net.numLayers;
s = struct('IW', {net.IW}, 'LW', {net.LW}, 'b', {net.b});
s.layers = cell(n, 1);
for i = 1:n
    layer = net.layers{i};
    s.layers{i} = struct('size', layer.size, ...
        'transferFcn', layer.transferFcn, 'netInputFcn', layer.netInputFcn);
end
s.inputs = {processing(net.inputs{1})};
s.outputs = cell(1, n);
s.outputs{n} = processing(net.outputs{n});
s.numInputDelays = net.numInputDelays;
s.numLayerDelays = net.numLayerDelays;
s.performFcn = net.performFcn;
end

function t = processing(side)
t = struct('size', side.size, ...
    'processFcns', {side.processFcns}, 'processSettings', {side.processSettings});
end
